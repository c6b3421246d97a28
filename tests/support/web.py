"""Real HTTP servers in a namespace: Python's own, and nginx where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sentinel_lab.namespaces import Namespace

NGINX: Final = """
user root; daemon off; worker_processes 1; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events {}
http {
  access_log off; client_body_temp_path FOLDER/1; proxy_temp_path FOLDER/2; fastcgi_temp_path FOLDER/3;
  uwsgi_temp_path FOLDER/4; scgi_temp_path FOLDER/5;
  server { listen 0.0.0.0:PORT; listen [::]:PORT ipv6only=on; root FOLDER; }
}
"""


def installed() -> list[str]:
    return ["python", *(["nginx"] if shutil.which("nginx") else [])]


@contextmanager
def serving(kind: str, space: Namespace, folder: Path, port: int) -> Iterator[None]:
    """What lies in `folder`, over IPv4 and IPv6, from when the port is open."""
    with space.entered():
        process = subprocess.Popen(_command(kind, folder, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _command(kind: str, folder: Path, port: int) -> list[str]:
    if kind == "python":
        return [sys.executable, "-m", "http.server", str(port), "--bind", "::", "--directory", str(folder)]
    config = folder / "nginx.conf"
    config.write_text(NGINX.replace("FOLDER", str(folder)).replace("PORT", str(port)))
    return ["nginx", "-c", str(config)]
