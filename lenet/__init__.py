"""Small convolutional networks, as pure functions.

Axes, by the letters used in every shape in this package:

    N  examples of a data set        B  examples of a minibatch      S  steps of an epoch
    H  height, W width of an image   C  channels (Ci in, Co out)     K  classes
    R  runs of a sweep

Reading order: `reference` (the chapter's loops), `shapes` and `ops` (the same operations for use),
`blocks` (convolution as one matrix product), `model` (LeNet), `config`, `data`, `metrics`, `sgd`
(the training of one network), `sweep` (of many, on all devices) and `train` (the sweep of one),
then `records`, `checkpoint`, `plots`, `stats` and `published`, which only look at what training
wrote. To ask questions: `receptive_field`, `activations`, `diagnostics`, `inspect`, `transforms`,
`rounding`, `cost`; `edge` is an example. To take a network or its records elsewhere: `export`,
`report`, `trackers`.
"""
