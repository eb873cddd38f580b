"""`python -m tests.controlplane`: a control plane in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from pathlib import Path

from tests.controlplane import BinariesUnavailable, ControlPlane, KubectlError, StartError, find_binaries

CRDS = Path(__file__).parents[2] / "deploy" / "crds"


def main() -> int:
    """Run the command line; returns the exit status."""
    arguments = _arguments()
    # As on Ctrl-C, so that the control plane is cleaned up even while it starts.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if arguments.binaries:
            sys.stdout.write(f"{find_binaries()}\n")
            return 0
        begun = time.monotonic()
        with ControlPlane(crds=arguments.crds if arguments.crds.is_dir() else None) as control_plane:
            sys.stdout.write(_introduction(control_plane, arguments.crds, time.monotonic() - begun))
            sys.stdout.flush()
            while True:
                signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("controlplane: stopped\n")
        return 0
    except (BinariesUnavailable, KubectlError, StartError) as error:
        sys.stderr.write(f"controlplane: {error}\n")
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.controlplane",
        description="Start etcd, kube-apiserver and kube-controller-manager on loopback; Ctrl-C ends them.",
    )
    parser.add_argument("--crds", type=_directory, default=CRDS, metavar="DIR", help="manifests to apply (deploy/crds)")
    parser.add_argument(
        "--binaries",
        action="store_true",
        help="only find or build the programs, print their directory, and end",
    )
    return parser.parse_args()


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return path


def _introduction(control_plane: ControlPlane, crds: Path, seconds: float) -> str:
    kubeconfig = shlex.quote(str(control_plane.kubeconfig))
    kubectl = shlex.quote(str(control_plane.binaries / "kubectl"))
    applied = f"with the CRDs of {crds}" if crds.is_dir() else f"without CRDs ({crds} does not exist)"
    return f"""\
A Kubernetes control plane is ready after {seconds:.1f} s, {applied}.
It has no nodes: objects are stored and checked, but no Pod runs.

KUBECONFIG: {kubeconfig}

In another terminal:
  export KUBECONFIG={kubeconfig}
  {kubectl} get crds

The CRDs are there already: install the chart with --set crds.install=false.
mfa-operator demo prints an embedded AWS that mfa-operator run can use here.

Ctrl-C ends it and removes its files.
"""


if __name__ == "__main__":
    sys.exit(main())
