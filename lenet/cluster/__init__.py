"""Train runs on the workers of a Dask cluster: on the cores of this machine, or on many machines.

    client (fit) ──(settings)──► scheduler ──► worker: its data, its compiled program
           ◄──────(a row of a run after each epoch)──────

A worker trains one run at a time, bitwise identical to the run alone; on a GPU it trains a chunk of
runs together. A task is a run, a chunk, or several short runs. Workers come and go: a task whose
worker died is trained again, and after three deaths run by run; a run that has three alone fails.
The client alone writes. Messages are pickles: hence loopback, or mutual TLS.
"""

import dask
import distributed  # noqa: F401  it has defaults of its own, which these follow

# Where the user's own configuration of Dask says nothing else.
dask.config.update_defaults(
    {
        "distributed": {
            # The third worker that dies is the last that a task gets.
            "scheduler": {"allowed-failures": 2, "worker-saturation": 1.0, "worker-ttl": "30s"},
            "worker": {"profile": {"enabled": False}},
            # Dask looks at itself fifty times a second in every process, on cores that train.
            "admin": {
                "tick": {"interval": "1s"},
                "system-monitor": {"interval": "5s", "gil": {"enabled": False}},
            },
            # Dask would set these in this process, too, and change its speed.
            "nanny": {
                "pre-spawn-environ": dict.fromkeys(
                    (
                        "MALLOC_TRIM_THRESHOLD_",
                        "OMP_NUM_THREADS",
                        "MKL_NUM_THREADS",
                        "OPENBLAS_NUM_THREADS",
                    )
                )
            },
            "deploy": {"lost-worker-timeout": "2 minutes"},  # it is being started again
        }
    }
)

from lenet.cluster.certificates import (  # noqa: E402
    address_in,
    certificates,
    directory,
    security,
)
from lenet.cluster.client import Standing, fit  # noqa: E402
from lenet.cluster.legs import follow  # noqa: E402
from lenet.cluster.nodes import connect, local, schedule, serve  # noqa: E402

__all__ = [
    "Standing",
    "address_in",
    "certificates",
    "connect",
    "directory",
    "fit",
    "follow",
    "local",
    "schedule",
    "security",
    "serve",
]
