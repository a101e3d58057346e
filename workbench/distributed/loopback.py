"""Processes of one machine that meet where nobody from outside can join them.

Left alone, torch (2.13) listens for them on every interface, and answers whoever connects.
"""

import os
import socket
from typing import Any

import psutil
from torch.distributed import TCPStore
from torch.distributed.constants import default_pg_timeout


def meet_on_loopback() -> dict[str, Any]:
    """How these processes meet, for torch to start the group with; empty where there is one, some
    are on other machines, or their launcher (torchrun, accelerate's) has its own meeting place.

    gloo is told the interface that it listens on, unless the user has.
    """
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not rank or size in ("", "1") or os.environ.get("LOCAL_WORLD_SIZE") != size:
        return {}
    address, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    interfaces = psutil.net_if_addrs().items()
    own = [name for name, known in interfaces if any(a.address == "127.0.0.1" for a in known)]
    if own:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", own[0])
    if address != "127.0.0.1" or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return {}
    first = rank == "0"
    store = TCPStore(
        address,
        int(port),
        int(size),
        first,
        default_pg_timeout,
        multi_tenant=True,
        master_listen_fd=_listening(address, int(port)) if first else None,
    )
    return {"store": store, "rank": int(rank), "world_size": int(size)}


def _listening(address: str, port: int) -> int:
    """A socket that listens there and nowhere else; the launcher has reserved the port."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((address, port))
    listening.listen(socket.SOMAXCONN)
    return listening.detach()
