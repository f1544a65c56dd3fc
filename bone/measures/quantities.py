"""Every quantity, once: its name, unit and definition. Tables, CSV files, pages and benchmarks read the rows.

Names after Bouxsein et al., J Bone Miner Res 25 (2010) 1468, with an underscore for the full stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """``name`` as in a `Measured`, its ``unit``, and what it ``means``; ``decimals`` in tables; ``slices``: also given slice by slice."""

    name: str
    unit: str
    means: str
    decimals: int = 3
    slices: bool = False

    @property
    def symbol(self) -> str:
        """As printed: Tb.Th, BV/TV.

        >>> QUANTITIES["BV_TV"].symbol, QUANTITIES["Ct_pMOI"].symbol
        ('BV/TV', 'Ct.pMOI')
        """
        return self.name.replace("BV_TV", "BV/TV").replace("BS_BV", "BS/BV").replace("_", ".")


_ROWS = (
    Quantity("BV", "mm^3", "volume of bone, partial voxels counted as what they hold", 4),
    Quantity("TV", "mm^3", "volume of the region", 4),
    Quantity("BV_TV", "%", "bone volume over region volume", 2, True),
    Quantity("BS", "mm^2", "area of the bone surface, by planes that cut the voxels", 3),
    Quantity("BS_BV", "1/mm", "surface over volume of bone", 2),
    Quantity("Tb_Th", "mm", "mean local thickness of bone: diameter of the largest ball in bone that holds a point", 4, True),
    Quantity("Tb_Th_sd", "mm", "standard deviation of the local thickness over the bone", 4),
    Quantity("Tb_Sp", "mm", "mean local thickness of the spaces between bone", 4, True),
    Quantity("Tb_Sp_sd", "mm", "standard deviation of the local separation over the spaces", 4),
    Quantity("Tb_N", "1/mm", "(BV/TV) / Tb.Th: the plate model, as CTAn defines it", 3),
    Quantity("Tb_N_sp", "1/mm", "1 / (Tb.Th + Tb.Sp): near what Scanco's distance of ridges gives", 3),
    Quantity("Conn_D", "1/mm^3", "connectivity density, (1 - Euler number) / TV, islands and cavities removed", 2),
    Quantity("Tb_plate", "%", "how plate-like bone is, mean over its volume: 100 plates, 0 rods (in place of SMI)", 1),
    Quantity("Ct_Ar", "mm^2", "area of bone (cortical, where compartments are made), mean over slices", 4, True),
    Quantity("Tt_Ar", "mm^2", "area inside the outer contour, mean over slices", 4, True),
    Quantity("Ct_Ar_Tt_Ar", "%", "cortical area fraction", 2),
    Quantity("Ct_Th", "mm", "mean local thickness of the cortex, its pores filled", 4, True),
    Quantity("Ct_Po", "%", "pores inside the cortical compartment over the compartment", 2),
    Quantity("Ct_pMOI", "mm^4", "polar moment of inertia about the centroid of each slice, Imax + Imin, mean over slices", 5, True),
    Quantity("BMD", "mg/cm^3", "mean calibrated density of the region", 1),
    Quantity("TMD", "mg/cm^3", "mean calibrated density of bone, one voxel from its surface inwards", 1),
)
QUANTITIES: Mapping[str, Quantity] = {row.name: row for row in _ROWS}
