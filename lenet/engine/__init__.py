"""Train one network or a thousand, as one compiled program.

`sgd` trains one network (pure functions: init, step, epoch, evaluate); `sharding` divides a batch
among devices; `sweep` maps runs over devices; `metrics` are sums and counts, `rows` what an epoch
came to; `memory` estimates bytes, `selfcheck` asks whether this version of JAX computes rightly;
`cores`, `programs` and `workers` say which processors and processes do the work.
"""
