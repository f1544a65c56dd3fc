"""Options of a reconstruction that make no sense, or that make another scan of the one that was measured."""

from __future__ import annotations

from hostile_case import Case, fine, refused, right, told, warned


def recon(name: str, words: str, kind: object, *says: str) -> Case:
    """A case of the sound scan with these words, cut at blanks."""
    return kind(name, lambda r: r.recon(r.scan(), *words.split()), *says)  # type: ignore[operator]


def own(name: str, body: str, *says: str) -> Case:
    """A method of the user's own that does not do what a method does."""
    return refused(name, lambda r: r.recon(r.scan(), "--method", f"{r.file('mine.py', body)}:f"), *says)


VIEWS = [
    recon("3 views by fdk", "--views 3", warned, "3 views|views 3"),
    recon("1 view by fdk", "--views 1", told, "1 view|views 1"),
    recon("a wedge of 20 deg by fdk", "--views wedge:20", told, "20|limited|wedge"),
    *(
        recon(f"views {text}", f"--views {text}", refused, "--views", "1e9|1000000000" if text == "1e9" else text)
        for text in (
            "0",
            "-1",
            "1.5",
            "1e9",
            "nan",
            "inf",
            "26:26",
            "every:0",
            "every:-1",
            "every:nan",
            "every:1.5",
            "random:0",
            "random:5:-1",
            "random:5:x",
            "wedge:0",
            "wedge:nan",
            "wedge:-90",
            "wedge:20:nan",
            "all:3",
            "nonsense",
            "every",
            "53",
            ",",
            "1,2",
            "0x10",
        )
    ),
]

GRIDS = [
    *(
        recon(f"voxel {text}", f"--voxel-mm {text}", refused, "--voxel-mm")
        for text in ("0", "-1", "nan", "inf", "1e-300", "1e9", "fine", "1e-4")
    ),
    recon("voxels larger than the object", "--voxel-mm 30", told, "--voxel-mm"),
    recon("voxels of a third of the field", "--voxel-mm 14", told, "--voxel-mm"),
    *(
        recon(f"grid {text}", f"--grid {text}", refused, "--grid")
        for text in ("0,0,0", "8,8", "8,8,-8", "nan,8,8", "1e9,1e9,1e9", "8.5,8,8", "a,b,c", "8;8;8")
    ),
    recon("grid of a voxel", "--grid 1,1,1", told, "--grid"),
    *(
        recon(f"box {text}", f"--box {text}", refused, "--box")
        for text in (
            "0:1",
            "1:0,0:1,0:1",
            "nan:1,0:1,0:1",
            "0:1e9,0:1e9,0:1e9",
            "-5-5,-5:5,0:5",
            "a:b,c:d,e:f",
            "0:1e-9,0:1e-9,0:1e-9",
            "0:0,0:1,0:1",
        )
    ),
    recon("box outside what the scan sees", "--box 100:105,100:105,0:5", refused, "--box"),
    recon("box above what the scan sees", "--box -5:5,-5:5,40:50", refused, "--box"),
    recon("box half outside", "--box 10:40,-5:5,-2:2", told, "--box"),
    recon("grid far larger than what the scan sees", "--grid 16,200,200", told, "--grid"),
]

BINNING = [
    *(recon(f"binning {text}", f"--binning {text}", refused, "binning") for text in ("0", "-1", "1000", "1.5", "x", "17")),
    recon("binning that leaves columns over", "--binning 3", fine, "binning 3|--binning", "left"),
    recon("binning to two rows", "--binning 8", told, "--binning"),
]

CORRECTIONS = [
    *(
        recon(f"{name} {value}", f"--{name} {value}", refused, f"--{name}|{name.replace('-', '_')}", value)
        for name, value in (
            ("rings", "-1"),
            ("rings", "21"),
            ("rings", "x"),
            ("scatter", "2"),
            ("scatter", "-1"),
            ("scatter", "nan"),
            ("smoothing", "99"),
            ("smoothing", "-1"),
            ("beam-hardening", "200"),
            ("beam-hardening", "nan"),
            ("beam-hardening", "-5"),
            ("bone-hardening", "-1"),
            ("bone-hardening", "1000000"),
            ("median", "-1"),
            ("median", "1000"),
            ("dead-pixels", "nan"),
            ("dead-pixels", "-1"),
            ("std", "-1"),
            ("std", "1"),
            ("std", "1000000"),
        )
    ),
    *(
        recon(f"correct {text}", f"--correct {text}", refused, text.partition("=")[0])
        for text in (
            "nonsense=1",
            "ring_method=magic",
            "voltage_kv=0",
            "voltage_kv=nan",
            "voltage_kv=1e9",
            "voltage_kv=high",
            "filter_mm_al=-1",
            "filter_mm_al=x",
            "=",
            "rings",
        )
    ),
    *(
        recon(f"std scale {value}", f"--std 4 --std-scale {value}", refused, "--std-scale|std_scale|scale")
        for value in ("0", "-1", "nan", "inf")
    ),
    recon("std of another kind", "--std 4 --std-kind guess", refused, "guess"),
]

METHODS = [
    *(
        recon(f"method {text}", f"--method {text}", refused, text.partition(":")[0].partition(".")[0])
        for text in ("magic", "nofile.py:f", "os:system", "fdk:x", "../../x.py:f")
    ),
    recon("method without a name", "--method .py:", refused, "--method|method"),
    own("method in a file without it", "def g(p, grid): return 0\n", "mine.py", "f"),
    own("method in a file that is not Python", "def f(p, grid) return 0\n", "mine.py"),
    own("method in a file of bytes", "\x00\x01\x02", "mine.py"),
    own("method that gives nothing", "def f(p, grid): pass\n", "f|mine"),
    own("method that gives another shape", "import numpy as np\ndef f(p, grid): return np.zeros((2, 2, 2))\n", "(2, 2, 2)"),
    own("method that gives not-a-number", "import numpy as np\ndef f(p, grid): return np.full(grid.shape, np.nan)\n", "NaN"),
    own("method that gives words", "def f(p, grid): return 'done'\n", "f|mine"),
    own("method that gives complex numbers", "import numpy as np\ndef f(p, grid): return np.ones(grid.shape, complex)\n", "complex"),
    own("method that takes nothing", "def f(): return 0\n", "f"),
    own("method that is a number", "f = 3\n", "f"),
    *(
        recon(f"set {text[:24]} of {method}", f"--method {method} --set {text}", refused, text.partition("=")[0])
        for method, text in (
            ("sirt", "iterations=0"),
            ("sirt", "iterations=-5"),
            ("sirt", "iterations=nan"),
            ("sirt", "iterations=many"),
            ("sirt", "iterations=1.5"),
            ("sirt", "iterations=[1,2]"),
            ("sirt", "nonsense=1"),
            ("fdk", "filter=magic"),
            ("fdk", "filter=[]"),
            ("fdk", "filter=none"),
            ("fista_tv", "weight=-1"),
            ("fista_tv", "weight=nan"),
            ("fista_tv", "weight=inf"),
            ("fista_tv", "weight=heavy"),
            ("os_sart", "subsets=0"),
            ("os_sart", "subsets=1000"),
            ("cgls", "iterations=true"),
            ("naf", "seed=-1"),
            ("naf", "seed=x"),
            ("naf", "device=abacus"),
            ("unet", "checkpoint=nowhere.pt"),
            ("fdk", "filter=" + "[" * 5000),
            ("sirt", "iterations=" + "9" * 5000),
            ("fdk", "=1"),
            ("fdk", "filter"),
        )
    ),
    refused(
        "checkpoint that is text", lambda r: r.recon(r.scan(), "--method", "unet", "--set", f"checkpoint={r.file('w.pt', 'hello')}"), "w.pt"
    ),
    refused(
        "checkpoint that is a zip of nothing",
        lambda r: r.recon(r.scan(), "--method", "unet", "--set", f"checkpoint={r.file('w.pt', bytes(100))}"),
        "w.pt",
    ),
]

READER = [
    *(
        recon(f"read-as {text}", f"--read-as {text}", refused, text.partition("=")[0])
        for text in (
            "direction=XX",
            "direction=1",
            "row_0=left",
            "postalignment_sign=0",
            "postalignment_sign=x",
            "optical_axis_from=middle",
            "nonsense=1",
            "part=x",
            "images=-1",
            "apply_view_shifts=perhaps",
            "pixel_mm=1",
        )
    ),
    *(recon(f"out {name}", f"--out {name}", refused, name) for name in ("a.jpg", "a.zip", "a.tif")),
    refused("out below a file", lambda r: r.recon(r.scan(), out=r.file("notes.txt", "mine") / "out.h5"), "notes.txt"),
    refused("out with a name of 300 letters", lambda r: r.recon(r.scan(), out="x" * 300 + ".h5"), "x.h5"),
    refused("out without a name", lambda r: ["recon", str(r.scan()), "--out", ""], "--out|. exists|never"),
    refused("out in the kernel's folder", lambda r: r.recon(r.scan(), out="/proc/nothing/out.h5"), "/proc"),
    refused("the scan without a name", lambda r: ["recon", "", "--out", "out.h5"], "SCAN|scan|''"),
    right("names in Greek", lambda r: r.recon(r.scan("ποντίκι 7 µm"), "--views", "all")),
]


CASES: list[Case] = [*VIEWS, *GRIDS, *BINNING, *CORRECTIONS, *METHODS, *READER]
