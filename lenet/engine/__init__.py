"""Train one network or a thousand, as one compiled program.

`sgd` trains one network: init, step, epoch and evaluate are pure functions; `optimizer` is the
update rule, `sharding` divides a batch among devices. `sweep` maps runs over `lanes` and jits them;
`stacking` makes arrays of their settings. `metrics` are sums and counts, `rows` the results of an
epoch, `chance` the loss of random guessing. `memory` estimates bytes, `selfcheck` tests JAX and
our own kernel; `cores`, `container` and `programs` are of this machine.
"""
