"""What the bits of a run depend on besides its settings: data, versions and hardware."""

import contextlib
import importlib.metadata
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet import config as config_module
from lenet.config import Config
from lenet.engine.cores import cores

if TYPE_CHECKING:
    from lenet.data.splits import Data  # numpy, which `--help` does not wait for


def describe(config: Config, data: "Data", command: str) -> dict[str, Any]:
    """Return what config.json holds."""
    return {
        "command": command,
        "config": config_module.to_dict(config),
        "data": {
            "name": data.name,
            "source": data.source,
            "synthetic": data.name == "synthetic",
            "image_shape": list(data.image_shape),
            "class_names": list(data.class_names),
            "train": len(data.train.labels),
            "valid": len(data.valid.labels) if data.valid else 0,
            "test": len(data.test.labels),
            "sha256": data.fingerprint,
        },
    }


def environment() -> dict[str, Any]:
    """Return what a number depends on besides the run: versions and hardware."""
    import jax

    device = jax.devices()[0]
    packages = ("lenet", "jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "matmul_precision": getattr(jax.config, "jax_default_matmul_precision", None) or "default",
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return what differs between two environments, such as "jaxlib 0.10.1, now 0.10.3".

    Where nothing does, the same run gives the same bits.
    """
    kept, here = (
        {**each.get("versions", {}), **{k: v for k, v in each.items() if k != "versions"}}
        for each in (before, now)
    )
    return "; ".join(
        f"{name} {kept.get(name)}, now {here.get(name)}"
        for name in sorted(kept.keys() | here.keys())
        if kept.get(name) != here.get(name)
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
