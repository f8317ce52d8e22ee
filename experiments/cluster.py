"""Start a cluster, on which experiments.sweep, search and compare train with --cluster.

    python -m experiments.cluster scheduler              prints its address, tls://HOST:8786
    python -m experiments.cluster worker --cluster=tls://HOST:8786       on each machine
    python -m experiments.sweep --seed=0:64 --cluster=tls://HOST:8786

The scheduler makes a key once, in a private directory. Whoever has it may join: copy the directory
to the other machines. A worker trains one run at a time; there is one for each core.
"""

import asyncio
from pathlib import Path

from absl import flags

from experiments import cli
from experiments.cli import language, many
from lenet.engine import cores
from lenet.errors import UsageError
from lenet.language import mark

flags.DEFINE_string("host", None, "scheduler: address or name to listen on (default: all)")
flags.DEFINE_integer("port", 8786, "scheduler: port; 0: any", lower_bound=0, upper_bound=65535)
flags.DEFINE_string("scheduler_file", None, "scheduler: file to write its address to")
flags.DEFINE_integer("workers", None, "worker: processes (default: one per core)", lower_bound=1)
many.define_cluster()
language.define()
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Run a scheduler, or the workers of this machine, until a signal comes."""
    if operands not in (("scheduler",), ("worker",)):
        given = f"{' '.join(operands)!r}: " if operands else ""
        raise UsageError(f"{given}type `python -m experiments.cluster scheduler`, or worker")
    from lenet import cluster

    if operands == ("scheduler",):
        path = many.certificates()
        security = cluster.certificates(path, make=True)
        file = FLAGS.scheduler_file and Path(FLAGS.scheduler_file).expanduser()

        def ready(address: str) -> None:
            said = language.t(
                "scheduler at {address}, certificates in {path}", address=address, path=path
            )
            print(said, flush=True)

        asyncio.run(cluster.schedule(FLAGS.host, FLAGS.port, security, file, ready))
        return
    if not FLAGS.cluster or FLAGS.cluster == "local":
        raise UsageError("worker needs --cluster=ADDRESS|FILE, which the scheduler gives")
    places = [None] * FLAGS.workers if FLAGS.workers else cores.numbers()
    address, shared = many.scheduler()

    def tell(joined: bool) -> None:
        text = mark("a worker joined {address}") if joined else mark("a worker left {address}")
        print(language.t(text, address=address), flush=True)

    asyncio.run(cluster.serve(address, shared, places, FLAGS.patience, tell))


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
