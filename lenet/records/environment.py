"""What the bits of a run depend on besides its settings: data, versions and hardware."""

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet import config as config_module
from lenet.config import Config
from lenet.engine import cores

if TYPE_CHECKING:
    from lenet.data.splits import Data  # numpy, which `--help` does not wait for


_VARIABLES = ("JAX_", "XLA_", "TF_XLA_", "LIBTPU_", "NVIDIA_TF32_", "CUBLAS_", "CUDNN_")
"""Of environment variables that change what is computed."""
_HARMLESS = ("CACHE", "LOG", "TRACEBACK", "PLATFORM", "NUM_CPU_DEVICES", "COLOR", "PROFILE")
_DEVICES = "xla_force_host_platform_device_count"  # the bits of a run do not depend on it
_USUAL = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_enable_custom_prng": False,
    "jax_enable_x64": False,
    "jax_softmax_custom_jvp": False,
    "jax_use_direct_linearize": True,
    "jax_allow_f16_reductions": True,
    "jax_high_dynamic_range_gumbel": False,
    "jax_disable_most_optimizations": False,
    "jax_exec_time_optimization_effort": 0.0,
}
"""Settings of jax.config that may change numbers, and their defaults."""


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
            "majority": data.majority,
            "sha256": data.fingerprint,
        },
    }


def command(
    program: str, config: Config, flags: Mapping[str, Any], seeds: range | None = None
) -> str:
    """Return the command that trains a setting as a run of a sweep or a search did.

    Args:
      program: "train" or "sweep".
      config: of the run.
      flags: those that the record of the sweep or search holds: they say where the data are.
      seeds: to train with instead of the run's.
    """
    if seeds:
        config = config_module.replace(config, seed=Config.seed, order_seed=Config.order_seed)
    given = config_module.flags(config)
    if seeds:
        given.append(f"--seed={seeds.start}:{seeds.stop}")
    if flags.get("data_dir"):
        given.append(f"--data_dir={flags['data_dir']}")
    return shlex.join(["python", "-m", f"experiments.{program}", *given])


def environment() -> dict[str, Any]:
    """Return what a number depends on besides the run: versions, hardware, sources and settings.

    Settings of JAX and XLA are there under their names if they are not the defaults.
    """
    import jax

    device = jax.devices()[0]
    told = _told()
    return software() | {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": told.get("model name") or platform.processor() or "unknown",
        "vectors": vectors(told.get("flags", told.get("Features", ""))),
        "cores": cores.cores(),
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "matmul_precision": getattr(jax.config, "jax_default_matmul_precision", None) or "default",
    }


def software() -> dict[str, Any]:
    """Return the part of `environment` that does not depend on the machine."""
    import jax

    packages = ("lenet", "jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "sources": _sources(),
    } | _settings(jax.config.values)


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return what differs between two environments, such as "jaxlib 0.10.1, now 0.10.3".

    Where nothing does, the same run gives the same bits.
    """
    kept, here = (
        {**each.get("versions", {}), **{k: v for k, v in each.items() if k != "versions"}}
        for each in (before, now)
    )
    for name in ("sources", "vectors"):  # not recorded by earlier versions
        kept.setdefault(name, here.get(name))
    return "; ".join(
        f"{name} {kept.get(name)}, now {here.get(name)}"
        for name in sorted(kept.keys() | here.keys())
        if kept.get(name) != here.get(name)
    )


def resumed(record: dict[str, Any], finished: int, now: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a sweep or search that continues after so many finished runs.

    Where its environment is another one now, `resumed` gets a line that says so: `finished_before`
    and `environment`.
    """
    # Where nothing finished, nothing of it is left.
    kept = [each for each in record.get("resumed", ()) if each["finished_before"] < finished]
    last = kept[-1] if kept else record
    if differences(last["environment"], now):
        kept.append({"finished_before": finished, "environment": now})
    others = {name: value for name, value in record.items() if name != "resumed"}
    return others | ({"resumed": kept} if kept else {})


def changes(record: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return after how many finished runs the environment changed, and in what."""
    found, last = [], record["environment"]
    for each in record.get("resumed", []):
        found.append((each["finished_before"], differences(last, each["environment"])))
        last = each["environment"]
    return found


def _settings(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of JAX and XLA that may change numbers and are not the defaults."""
    found = {
        name: str(values[name])
        for name, usual in _USUAL.items()
        if name in values and values[name] != usual
    }
    for name, value in os.environ.items():
        if name.startswith(_VARIABLES) and not any(each in name for each in _HARMLESS):
            words = [word for word in value.split() if _DEVICES not in word]
            found |= {name: " ".join(words)} if words else {}
    return found


@functools.cache
def _sources() -> str:
    """Return a digest of the package's Python files."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def code_of(configs: Iterable[Config]) -> dict[str, str]:
    """Return a digest of each file of the user's that networks and optimizers come from, by module.

    What they import in turn is not looked at. Code without a file of its own, such as that of a
    notebook, is left out.
    """
    made = (code for config in configs for code in (type(config.network), config.optimizer))
    modules = {getattr(each, "__module__", "lenet") for each in made} - {"__main__"}
    ours = {"lenet", *sys.stdlib_module_names}
    found = {name: digest_of(name) for name in modules if name.partition(".")[0] not in ours}
    return {name: digest for name, digest in found.items() if digest}


@functools.cache
def digest_of(module: str) -> str:
    """Return a digest of the file of a module as it was first asked for; "" if it has none."""
    path = getattr(importlib.import_module(module), "__file__", None)
    with contextlib.suppress(OSError):
        return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()[:16]
    return ""


def vectors(flags: str) -> str | None:
    """Return the widest vector instructions among a processor's flags; None for others.

    Programs choose their loops, and so the order of their sums, by these.

    >>> vectors("sse4_2 avx avx2 fma")
    'AVX2'
    """
    known = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}
    own = flags.split()
    return next((name for flag, name in known.items() if flag in own), None)


def _told() -> dict[str, str]:
    """Return what Linux says of the first core; nothing elsewhere."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
        pairs = (line.partition(":") for line in first.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}
    return {}
