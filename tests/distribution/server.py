"""Debian's docker-registry as a child of the test: its own configuration, its own tree, a port of loopback.

Without a cache the program keeps nothing between requests but its tree: `RealRegistry.reset` then only deletes the
tree, and one process serves a whole module (`test_distribution_real.py` shows that it answers as a fresh one does).
With ``cache="inmemory"`` it remembers descriptors of blobs that are gone, so that a reset has to restart it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import pytest

from ..tools import find_tool
from .client import Client
from .disk import Disk, read_disk

PROGRAM = "docker-registry"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
COLLECT_SECONDS = 60.0
PIPE_BYTES = 4096
LINE_BYTES = 100  # no line of a repository with a short name is longer

_LISTENING = re.compile(rb'msg="listening on (127\.0\.0\.1):([0-9]+)"')
_SUMMARY = re.compile(r"^(\d+) blobs marked, (\d+) blobs and (\d+) manifests eligible for deletion$", re.M)
_MANIFEST = re.compile(r"^manifest eligible for deletion: (\S+)$", re.M)
_BLOB = re.compile(r"^blob eligible for deletion: (\S+)$", re.M)
_MARKING = re.compile(r"^(\S+): marking (manifest|blob) (\S+) ?$", re.M)
_REPOSITORY = re.compile(r"^([^\s:]+)$", re.M)


def find_program() -> str:
    """Return the program's path, as :func:`tests.tools.find_tool` does."""
    return find_tool(PROGRAM)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give an empty directory, in memory where there is such a place, and remove it afterwards.

    The program syncs every file that it writes. On a disk that takes most of the time of a test, and says nothing.
    """
    memory = Path("/dev/shm")
    there = memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)
    with tempfile.TemporaryDirectory(prefix="quotasim-", dir=memory if there else None) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Collection:
    """What one run of ``garbage-collect`` returned and said."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> tuple[int, int, int] | None:
        """Blobs marked, blobs and manifests eligible for deletion; None if it failed before it said so."""
        found = _SUMMARY.search(self.out)
        return None if found is None else (int(found[1]), int(found[2]), int(found[3]))

    @property
    def repositories(self) -> list[str]:
        """The repositories that it walked, in its order."""
        return _REPOSITORY.findall(self.out)

    @property
    def marked(self) -> list[tuple[str, str, str]]:
        """What it marked, as (repository, "manifest" or "blob", digest), once for each line."""
        return _MARKING.findall(self.out)

    @property
    def manifests(self) -> list[str]:
        """The digests of the manifests that it deleted, once for each repository it took one from."""
        return _MANIFEST.findall(self.out)

    @property
    def blobs(self) -> list[str]:
        """The digests of the blobs that it swept, sorted: its own order differs between runs."""
        return sorted(_BLOB.findall(self.out))


class HeldCollection:
    """A run of ``garbage-collect`` that waits in its next line when it has said as much as its pipe takes."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        self._process, self._pipe = process, pipe

    def wait(self) -> None:
        """Wait until it is held: the pipe takes no whole line any more."""
        end = time.monotonic() + COLLECT_SECONDS
        room = bytearray(4)
        while (
            fcntl.ioctl(self._pipe, termios.FIONREAD, room) or PIPE_BYTES - int.from_bytes(room, "little") > LINE_BYTES
        ):
            if self._process.poll() is not None or time.monotonic() > end:
                pytest.fail("the collection said too little to be held")
            time.sleep(0.002)

    def finish(self) -> Collection:
        """Let it go on to its end."""
        said = b"".join(iter(lambda: self._pipe.read(PIPE_BYTES), b""))
        return Collection(self._process.wait(COLLECT_SECONDS), said.decode(), "")


class RealRegistry:
    """One registry: ``garbage-collect`` and a server, both on the tree in ``folder``. A context manager.

    Parameters
    ----------
    folder : an empty directory for the configuration, the log and the tree.
    cache : of blob descriptors: None, or ``"inmemory"`` as most installations have it.
    delete : whether ``DELETE`` is allowed.
    foreign_urls : patterns of the urls that foreign layers may have; the program refuses those layers otherwise.
    """

    def __init__(
        self, folder: Path, *, cache: str | None = None, delete: bool = True, foreign_urls: tuple[str, ...] = ()
    ) -> None:
        self.program = find_program()
        self.cache = cache
        self.root = folder / "storage"
        self.log = folder / "log"
        self.configuration = folder / "config.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None
        self.root.mkdir(parents=True)
        self.configuration.write_text(json.dumps(self._settings(delete, foreign_urls)))

    def _settings(self, delete: bool, foreign_urls: tuple[str, ...]) -> dict[str, object]:
        """The configuration, as JSON, which is YAML. What is not named is off: health checks, debug, metrics."""
        storage: dict[str, object] = {
            "filesystem": {"rootdirectory": str(self.root)},
            "delete": {"enabled": delete},
            "maintenance": {"uploadpurging": {"enabled": False}},
        }
        if self.cache is not None:
            storage["cache"] = {"blobdescriptor": self.cache}
        settings: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": storage,
            # The system chooses the port and the log says which: nobody can take it in between. The locations of
            # uploads are relative, and signed with a fixed secret, so that they outlive a restart on another port.
            "http": {"net": "tcp", "addr": "127.0.0.1:0", "relativeurls": True, "secret": "of a test"},
        }
        if foreign_urls:
            settings["validation"] = {"manifests": {"urls": {"allow": list(foreign_urls)}}}
        return settings

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # The server

    @property
    def client(self) -> Client:
        """The connection to the server that runs now."""
        assert self._client is not None, "the registry is not running"
        return self._client

    @property
    def pid(self) -> int | None:
        """The server's process, None if it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._process is None, "the registry runs already"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self.program, "serve", str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
        try:
            self._client = Client(*self._wait_for_address())
            reply = self._client.ping()
            assert reply.status == 200, reply
        except BaseException:
            self.stop()
            raise

    def _wait_for_address(self) -> tuple[str, int]:
        """Read in the log where the server listens. From then on the system queues what connects."""
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while (found := _LISTENING.search(self.log.read_bytes())) is None:
            if self._process.poll() is not None or time.monotonic() > end:
                state = "does not listen" if self._process.returncode is None else "ended"
                pytest.fail(f"{PROGRAM} {state}; its log:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.002)
        return found[1].decode(), int(found[2])

    def stop(self) -> None:
        """Stop the server, if it runs: ask it, wait, and kill it when it does not heed."""
        if self._client is not None:
            self._client.close()
            self._client = None
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Restart the server on the same tree: what it cached is gone. It listens on another port then."""
        self.stop()
        self.start()

    def reset(self) -> None:
        """Give back an empty registry, as cheaply as the cache allows: uploads must not be under way."""
        if self.cache is None:
            self._empty()
        else:
            self.stop()
            self._empty()
            self.start()

    def _empty(self) -> None:
        """Remove the tree but not its root."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.root / "docker")

    # The collector and the disk

    def collect(self, *, delete_untagged: bool = False, dry_run: bool = False) -> Collection:
        """Run ``garbage-collect`` on the tree, whether or not the server runs."""
        options = [*["--delete-untagged"] * delete_untagged, *["--dry-run"] * dry_run]
        done = subprocess.run(
            [self.program, "garbage-collect", *options, str(self.configuration)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COLLECT_SECONDS,
            check=False,
            env=_environment(),
        )
        return Collection(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def held_collection(self, *, delete_untagged: bool = False) -> Iterator[HeldCollection]:
        """Start ``garbage-collect``, held: it says line by line what it does, and waits while nobody reads."""
        receiving, sending = os.pipe()
        options = ["--delete-untagged"] * delete_untagged
        with open(receiving, "rb", buffering=0) as pipe:
            fcntl.fcntl(sending, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            process = subprocess.Popen(
                [self.program, "garbage-collect", *options, str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=sending,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            os.close(sending)
            try:
                yield HeldCollection(process, pipe)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def disk(self) -> Disk:
        """Read what is stored now."""
        return read_disk(self.root)


def _environment() -> dict[str, str]:
    """The environment without the variables that would override the configuration, and without telemetry.

    Go is told to use one core and to collect its own garbage more seldom: a third less time for small requests.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "OTEL_"))}
    telemetry = {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"}
    return kept | telemetry | {"GOMAXPROCS": "1", "GOGC": "400"}
