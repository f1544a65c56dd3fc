"""The manifest is complete and says what is wrong with it; downloads resume, are checked, and leave nothing half-written. No network."""

from __future__ import annotations

import builtins
import copy
import errno
import hashlib
import importlib.resources
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml
from fewview.data.catalogue.download import _Transfer, download, file_hash
from fewview.data.catalogue.fetch import Check, data_folder, fetch, locate, verify
from fewview.data.catalogue.manifest import HubSource, Manifest, load_manifest
from fewview.data.catalogue.remote import Selection, mirrored_files
from fewview.geometry import InputError, MissingBackendError, UnknownNameError

PAYLOAD = np.random.default_rng(0).bytes(3_000_000)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# ---- the manifest


def content() -> dict[str, Any]:
    return yaml.safe_load((importlib.resources.files("fewview") / "data_manifest.yaml").read_text(encoding="utf-8"))


def test_every_data_set_of_the_issue_is_there() -> None:
    manifest = load_manifest()
    bonemet = {r.source.component for r in manifest.resources if isinstance(r.source, HubSource) and r.source.layout == "bonemet"}
    assert bonemet == {"Rotation-X-ray", "Recon-CT", "Seg-CT", "Regist-CT", "RoI-CT"}
    assert manifest["bonemet-recon-ct"].licence.name == "CC-BY-NC-4.0"
    assert manifest["rabbitct"].source.kind == "http"
    assert manifest["r2-gaussian"].source.kind == "hub"
    for name in ("fips-walnut", "fips-pine", "fips-seashell", "cwi-walnuts", "pcct-walnuts", "2detect", "htc2022"):
        assert manifest[name].source.kind == "zenodo"
        assert manifest[name].doi.startswith("10.5281/zenodo.")
    weights = manifest["fid-inception"].source.files[0]  # type: ignore[union-attr]
    assert weights.hash == "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
    assert weights.path == "pt_inception-2015-12-05-6726825d.pth"
    with pytest.raises(UnknownNameError, match="fips-walnut"):
        manifest["walnut"]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda r: r[-1]["source"]["files"][0].update(hash="6726"), r"'fid-inception', field source.files.0.hash: .*given '6726'"),
        (lambda r: r[-1].pop("licence"), "'fid-inception', field licence: Field required"),
        (lambda r: r[-1].update(bytes=-3), "'fid-inception', field bytes: .*given -3"),
        (lambda r: r[-1].update(licens="x"), "'fid-inception', field licens: Extra"),
        (lambda r: r[0]["source"].update(component="CT"), "'bonemet-rotation-x-ray', field source.component"),
        (lambda r: r[5]["geometry"].pop("rows"), "'fips-walnut', field geometry: .*rows not stated"),
        (lambda r: r[5]["source"].update(kind="ftp"), "'fips-walnut', field source: .*'http', 'zenodo', 'hub'"),
        (lambda r: r[5].update(name="fid-inception"), "fid-inception named twice"),
        (lambda r: r[5].update(doi="10.x/y"), "'fips-walnut', field doi"),
        (lambda r: r[-1]["source"]["files"][0].update(path="../../x"), "inside the resource's folder"),
        (lambda r: r[-1]["source"]["files"][0].pop("url"), "has no url"),
        (lambda r: r.__setitem__(3, "x"), "'number 4'"),
    ],
)
def test_a_wrong_manifest_is_told_by_entry_and_field(tmp_path: Path, break_it: Callable[[Any], Any], said: str) -> None:
    changed = copy.deepcopy(content())
    break_it(changed["resources"])
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed))
    with pytest.raises(InputError, match=said) as caught:
        load_manifest(path)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("a: [1,")
    with pytest.raises(InputError, match="not YAML"):
        load_manifest(path)
    path.write_text("- 1")
    with pytest.raises(InputError, match="holds a list"):
        load_manifest(path)
    with pytest.raises(FileNotFoundError):
        load_manifest(tmp_path / "absent.yaml")


# ---- a server that can fail


class Server:
    """Files over http with ranges; ``cut`` closes the connection after so many bytes, once for each number."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.cut: list[int] = []
        self.ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None: ...

            def do_HEAD(self) -> None:
                self.reply(body=False)

            def do_GET(self) -> None:
                self.reply(body=True)

            def reply(self, body: bool) -> None:
                path = unquote(urlsplit(self.path).path)
                if path not in outer.files:
                    self.send_error(404)
                    return
                whole, asked = outer.files[path], self.headers.get("Range")
                tag = f'"{hashlib.md5(whole).hexdigest()}"'
                if body:
                    outer.ranges.append(asked)
                start = 0
                if asked and self.headers.get("If-Range", tag) == tag:
                    start = int(asked.removeprefix("bytes=").partition("-")[0])
                if start >= len(whole) and start:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(whole)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
                self.send_header("Content-Length", str(len(whole) - start))
                for key, value in ({"ETag": tag} | outer.headers.get(path, {})).items():
                    self.send_header(key, value)
                self.end_headers()
                if not body:
                    return
                part = whole[start:]
                if outer.cut:
                    part = part[: outer.cut.pop(0)]
                    self.close_connection = True
                self.wfile.write(part)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FEWVIEW_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def manifest_of(**source: Any) -> Manifest:
    """A manifest with one resource ``r``."""
    entry = copy.deepcopy(content()["resources"][-1]) | {"name": "r", "source": source}
    return Manifest.model_validate({"name": "m", "title": "t", "version": "1", "resources": [entry]})


def one_file(server: Server, known: str = "unknown", size: int | str = "unknown") -> Manifest:
    server.files["/a.bin"] = PAYLOAD
    return manifest_of(kind="http", files=[{"path": "a.bin", "url": f"{server.url}/a.bin", "bytes": size, "hash": known}])


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


# ---- downloads


def test_fetch_checks_keeps_and_does_not_fetch_twice(server: Server, tmp_path: Path) -> None:
    manifest = one_file(server, sha256(PAYLOAD), len(PAYLOAD))
    (path,) = fetch("r", tmp_path / "d", manifest=manifest)
    assert path == tmp_path / "d" / "r" / "a.bin"
    assert path.read_bytes() == PAYLOAD
    assert left_in(path.parent) == [".fewview-files.json", "a.bin"]
    fetch("r", tmp_path / "d", manifest=manifest)
    assert len(server.ranges) == 1
    assert verify("r", tmp_path / "d", manifest=manifest) == [Check(path, "ok", sha256(PAYLOAD))]


def test_a_cut_download_goes_on_by_itself(server: Server, tmp_path: Path) -> None:
    server.cut = [1_048_576, 524_288]
    (path,) = fetch("r", tmp_path, manifest=one_file(server, sha256(PAYLOAD)))
    assert path.read_bytes() == PAYLOAD
    assert server.ranges == [None, "bytes=1048576-", "bytes=1572864-"]


def test_an_interrupted_download_goes_on_the_next_time(server: Server, tmp_path: Path) -> None:
    manifest = one_file(server, sha256(PAYLOAD), len(PAYLOAD))
    server.cut = [1_966_080, 0, 0, 0, 0]
    with pytest.raises(ConnectionError, match=r"stopped after 1966080 of 3000000 bytes of a.bin; run the same command again"):
        fetch("r", tmp_path, manifest=manifest)
    assert not (tmp_path / "r" / "a.bin").exists()
    server.ranges.clear()
    (path,) = fetch("r", tmp_path, manifest=manifest)
    assert server.ranges == ["bytes=1966080-"]
    assert path.read_bytes() == PAYLOAD
    assert left_in(tmp_path) == [".fewview-files.json", "a.bin"]


def test_a_file_that_changed_in_between_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    manifest = one_file(server)
    server.cut = [1_966_080, 0, 0, 0, 0]
    with pytest.raises(ConnectionError):
        fetch("r", tmp_path, manifest=manifest)
    server.files["/a.bin"] = changed = PAYLOAD[::-1]
    (path,) = fetch("r", tmp_path, manifest=manifest)
    assert path.read_bytes() == changed


def test_a_complete_part_needs_no_byte_more(server: Server, tmp_path: Path) -> None:
    manifest = one_file(server, sha256(PAYLOAD))
    part = tmp_path / "r" / ".a.bin.part"
    part.parent.mkdir()
    part.write_bytes(PAYLOAD)
    (path,) = fetch("r", tmp_path, manifest=manifest)
    assert path.read_bytes() == PAYLOAD
    part.write_bytes(PAYLOAD + b"too long")
    path.unlink()
    (path,) = fetch("r", tmp_path, manifest=manifest)
    assert path.read_bytes() == PAYLOAD


def test_a_bad_hash_keeps_nothing(server: Server, tmp_path: Path) -> None:
    manifest = one_file(server, "sha256:" + "0" * 64)
    with pytest.raises(InputError, match=r"another hash than sha256:0000.*not kept"):
        fetch("r", tmp_path, manifest=manifest)
    assert left_in(tmp_path) == []
    with pytest.raises(InputError, match="has 3000000 bytes; expected 7"):
        fetch("r", tmp_path, manifest=one_file(server, size=7))
    assert left_in(tmp_path) == []


def test_a_wrong_file_that_is_there_is_not_taken_and_not_overwritten(server: Server, tmp_path: Path) -> None:
    manifest = one_file(server, sha256(PAYLOAD))
    path = tmp_path / "r" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a.bin is there, but .*--force"):
        fetch("r", tmp_path, manifest=manifest)
    assert path.read_bytes() == b"mine"
    fetch("r", tmp_path, manifest=manifest, force=True)
    assert path.read_bytes() == PAYLOAD


def test_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = one_file(server, sha256(PAYLOAD), len(PAYLOAD))
    write = _Transfer._write

    class Full:
        """A file on a disk with room for a million bytes more."""

        def __init__(self, file: Any) -> None:
            self.file, self.room = file, 1_000_000

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[: self.room])
            self.room -= len(data)
            if self.room < 0:
                self.file.flush()
                raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open

    def full_write(self: _Transfer, *args: Any) -> None:
        with monkeypatch.context() as only_here:
            only_here.setattr(Path, "open", lambda path, mode="r": Full(opened(path, mode)) if path == self.part else opened(path, mode))
            write(self, *args)

    monkeypatch.setattr(_Transfer, "_write", full_write)
    with pytest.raises(OSError, match=r"disk is full after 1000000 of 3000000 bytes of a.bin; free some space") as caught:
        fetch("r", tmp_path, manifest=manifest)
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "r" / "a.bin").exists()
    monkeypatch.setattr(_Transfer, "_write", write)
    (path,) = fetch("r", tmp_path, manifest=manifest)
    assert server.ranges[-1] == "bytes=1000000-"
    assert path.read_bytes() == PAYLOAD


def test_offline_and_missing_files_are_one_plain_line(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    for manifest, where in (
        (manifest_of(kind="http", files=[{"path": "a", "url": f"{nobody}/a", "bytes": 1, "hash": "unknown"}]), {}),
        (manifest_of(kind="zenodo", records=[1]), {"zenodo": nobody}),
        (manifest_of(kind="hub", id="a/b", repo_type="dataset", revision="main"), {"hub": nobody, "everything": True}),
    ):
        with pytest.raises(ConnectionError, match=r"cannot reach .*no network.*--mirror FOLDER, or set FEWVIEW_DATA") as caught:
            fetch("r", tmp_path, manifest=manifest, **where)
        assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []
    with pytest.raises(FileNotFoundError, match="the server has no"):
        download(f"{server.url}/absent", tmp_path / "absent")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "pooch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingBackendError, match=r"fewview\[data\]"):
        download("http://127.0.0.1/x", tmp_path / "x")


# ---- Zenodo


def test_zenodo_names_files_sizes_and_hashes(server: Server, tmp_path: Path) -> None:
    two = b"another file"
    server.files |= {"/f/one.zip": PAYLOAD, "/f/two.txt": two}
    entries = [
        {"key": name, "size": len(body), "checksum": f"md5:{hashlib.md5(body).hexdigest()}", "links": {"self": f"{server.url}/f/{name}"}}
        for name, body in (("one.zip", PAYLOAD), ("two.txt", two))
    ]
    server.files["/api/records/77"] = json.dumps({"files": entries}).encode()
    manifest = manifest_of(kind="zenodo", records=[77])
    (path,) = fetch("r", tmp_path, manifest=manifest, zenodo=server.url, selection=Selection(files=("*.txt",)))
    assert path.read_bytes() == two
    assert len(fetch("r", tmp_path, manifest=manifest, zenodo=server.url)) == 2
    assert [c.state for c in verify("r", tmp_path, manifest=manifest)] == ["ok", "ok"]  # by the record that fetch keeps
    (tmp_path / "r" / "one.zip").write_bytes(PAYLOAD[:-1] + b"x")
    (tmp_path / "r" / "two.txt").write_bytes(b"short")
    (tmp_path / "r" / "extra").write_bytes(b"?")
    states = {c.path.name: c.state for c in verify("r", tmp_path, manifest=manifest)}
    assert states == {"one.zip": "wrong hash", "two.txt": "wrong size", "extra": "unverified"}
    with pytest.raises(FileNotFoundError, match="no file that fits"):
        fetch("r", tmp_path, manifest=manifest, zenodo=server.url, selection=Selection(files=("*.tif",)))
    with pytest.raises(InputError, match="no animals"):
        fetch("r", tmp_path, manifest=manifest, selection=Selection(animals=("851",)))
    pinned = manifest_of(kind="zenodo", records=[77], files=[{"path": "two.txt", "bytes": 12, "hash": sha256(b"the right one")}])
    (tmp_path / "r" / "two.txt").unlink()
    with pytest.raises(InputError, match="another hash"):  # the manifest's pin goes before the record's own checksum
        fetch("r", tmp_path, manifest=pinned, zenodo=server.url, selection=Selection(files=("two.txt",)))
    server.files["/api/records/77"] = json.dumps({"files": [entries[1] | {"key": "../../evil"}]}).encode()
    with pytest.raises(InputError, match="inside"):
        fetch("r", tmp_path, manifest=manifest, zenodo=server.url)


# ---- BoneMet on the Hub and in a mirror


LAYOUT = (
    "Imagery_Dataset/1. Rotation-X-ray/851/week 0/xray_1.PNG",
    "Imagery_Dataset/1. Rotation-X-ray/851/week 11/xray_1.PNG",
    "Imagery_Dataset/1. Rotation-X-ray/001/week 0/xray_1.PNG",
    "Imagery_Dataset/1. Rotation-X-ray/week 0/871/xray_1.png",
    "Imagery_Dataset/2 recon-ct/851/week 0/ct_slice_001.PNG",
    "Imagery_Dataset/3. Seg-CT/851 left tibia/week 0/s_1.PNG",
    "Imagery_Dataset/3. Seg-CT/871 week 0 left tibia/s_1.PNG",
    "Imagery_Dataset/5. ROI-CT/851R proximal tibia/week 1/r_1.PNG",
    "Imagery_Dataset/5. ROI-CT/001L proximal tibia/week 1/r_1.PNG",
)


def make_mirror(root: Path) -> Path:
    for path in LAYOUT:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


@pytest.mark.parametrize(
    ("name", "selection", "expected"),
    [
        ("bonemet-rotation-x-ray", Selection(animals=("851",), weeks=("0",)), [0]),
        ("bonemet-rotation-x-ray", Selection(animals=("8*",), weeks=("0",)), [0, 3]),
        ("bonemet-rotation-x-ray", Selection(animals=("1",)), [2]),
        ("bonemet-rotation-x-ray", Selection(animals=("001",)), [2]),
        ("bonemet-rotation-x-ray", Selection(weeks=("week 11",)), [1]),
        ("bonemet-rotation-x-ray", Selection(weeks=("1",)), []),
        ("bonemet-recon-ct", Selection(animals=("851",)), [4]),
        ("bonemet-seg-ct", Selection(animals=("871",)), [6]),
        ("bonemet-seg-ct", Selection(animals=("851 left tibia",)), [5]),
        ("bonemet-roi-ct", Selection(animals=("851r", "1R")), [7]),
        ("bonemet-roi-ct", Selection(animals=("*L",)), [8]),
        ("bonemet-regist-ct", Selection(animals=("851",)), []),
    ],
)
def test_selection_in_every_spelling(tmp_path: Path, name: str, selection: Selection, expected: list[int]) -> None:
    mirror = make_mirror(tmp_path)
    if not expected:
        with pytest.raises(FileNotFoundError, match="no file that fits"):
            mirrored_files(load_manifest()[name], selection, mirror)
        return
    _, files = mirrored_files(load_manifest()[name], selection, mirror)
    assert sorted(f.path for f in files) == sorted(LAYOUT[i] for i in expected)


def test_bonemet_from_a_mirror_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWVIEW_DATA", str(make_mirror(tmp_path / "mirror")))
    with pytest.raises(InputError, match="--animal 851 --week 0"):
        fetch("bonemet-rotation-x-ray", tmp_path / "out")
    (path,) = fetch("bonemet-rotation-x-ray", tmp_path / "out", selection=Selection(animals=("851",), weeks=("0",)))
    assert path == tmp_path / "out" / "bonemet-rotation-x-ray" / LAYOUT[0]
    assert path.read_bytes() == LAYOUT[0].encode()
    assert [c.state for c in verify("bonemet-rotation-x-ray", tmp_path / "out")] == ["ok"]
    with pytest.raises(FileNotFoundError, match="not a folder"):
        fetch("bonemet-recon-ct", tmp_path / "out", everything=True, mirror=tmp_path / "absent")


def test_a_mirror_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifest_of(kind="http", files=[{"path": "a.bin", "url": "http://x/a", "bytes": len(PAYLOAD), "hash": sha256(PAYLOAD)}])
    mirror, out = tmp_path / "mirror", tmp_path / "out"
    mirror.mkdir()
    (mirror / "a.bin").write_bytes(PAYLOAD[:-1] + b"x")
    with pytest.raises(InputError, match=r"^a.bin has the hash"):
        fetch("r", out, mirror=mirror, manifest=manifest)
    assert left_in(out) == []
    (mirror / "a.bin").write_bytes(PAYLOAD)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as now:
        now.setattr(shutil, "copyfile", full)
        with pytest.raises(OSError, match="the disk is full"):
            fetch("r", out, mirror=mirror, manifest=manifest)
    assert left_in(out) == []
    (path,) = fetch("r", out, mirror=mirror, manifest=manifest)
    assert path.read_bytes() == PAYLOAD


def test_bonemet_from_the_hub(server: Server, tmp_path: Path) -> None:
    """The real client of the Hub against a server that answers as the Hub does."""
    commit, folders = "c" * 40, {str(Path(p).parents[i]) for p in LAYOUT for i in range(len(Path(p).parents))}
    for path in LAYOUT:
        body = path.encode()
        where = f"/datasets/BoneMet/BoneMet/resolve/main/{path}"
        server.files[where] = body
        server.headers[where] = {"X-Repo-Commit": commit}
    for folder in folders:
        children = sorted({p for p in [*folders, *LAYOUT] if p != "." and str(Path(p).parent) == folder})
        entries = [
            {"type": "file", "path": p, "size": len(p.encode()), "oid": "0" * 40,
             "lfs": {"oid": hashlib.sha256(p.encode()).hexdigest(), "size": len(p.encode()), "pointerSize": 1}}
            if p in LAYOUT else {"type": "directory", "path": p, "oid": "0" * 40}
            for p in children
        ]  # fmt: skip
        server.files["/api/datasets/BoneMet/BoneMet/tree/main" + ("" if folder == "." else f"/{folder}")] = json.dumps(entries).encode()
    chosen = Selection(animals=("851",), weeks=("0",))
    (path,) = fetch("bonemet-rotation-x-ray", tmp_path, selection=chosen, hub=server.url)
    assert path == tmp_path / "bonemet-rotation-x-ray" / LAYOUT[0]
    assert path.read_bytes() == LAYOUT[0].encode()
    assert verify("bonemet-rotation-x-ray", tmp_path) == [Check(path, "ok", sha256(LAYOUT[0].encode()))]
    path.unlink()
    shutil.rmtree(tmp_path / "bonemet-rotation-x-ray" / ".cache", ignore_errors=True)
    server.files[f"/datasets/BoneMet/BoneMet/resolve/main/{LAYOUT[0]}"] = b"x" * len(LAYOUT[0].encode())
    with pytest.raises(InputError, match="has the hash"):
        fetch("bonemet-rotation-x-ray", tmp_path, selection=chosen, hub=server.url)
    assert not path.exists()


def test_locate_finds_checks_and_says_how_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_folder() == tmp_path / "cache" / "fewview"
    with pytest.raises(FileNotFoundError, match="fewview data fetch fid-inception"):
        locate("fid-inception")
    monkeypatch.setenv("FEWVIEW_DATA", str(tmp_path))
    weights = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    weights.write_bytes(b"not the weights")
    with pytest.raises(InputError, match="15 bytes; expected 95628359"):
        locate("fid-inception")
    (tmp_path / "htc2022").mkdir()
    (tmp_path / "htc2022" / "x.mat").write_bytes(b"1")
    assert locate("htc2022", "x.mat") == tmp_path / "htc2022" / "x.mat"
    with pytest.raises(InputError, match="several files"):
        locate("2detect")
    assert file_hash(weights, "md5") == f"md5:{hashlib.md5(b'not the weights').hexdigest()}"
