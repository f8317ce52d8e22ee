"""Small convolutional networks, as pure functions.

Axes, by the letters used in every shape in this package:

    N  examples of a dataset         B  examples of a minibatch      S  steps of an epoch
    H  height, W width of an image   C  channels (Ci in, Co out)     K  classes
    R  runs of a sweep               t  side of a block              P  parts of a batch
    kh, kw  height and width of a kernel         Ho, Wo  height and width of an output
    Cg  input channels of a group

They are checked: public functions are annotated with them (jaxtyping), and the tests, which run
every annotated function under beartype, fail where an array has other axes.

Reading order: `reference` (the chapter's loops), `ops` (the same operations on XLA), `model`
(LeNet), `config` (every setting), `data` (datasets), `engine` (train one network or many), `train`
(one run), `cluster` (many runs by many processes) and `runs` (a run with its directory). `records`
reads what a run wrote; `analysis`, `figures` and `report` present it; `inspect` and `export` take
the trained network. `chapter` is the book as code.
"""
