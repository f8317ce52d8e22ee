"""A row of metrics.jsonl as it is read."""

import dataclasses
import json

from lenet.engine.rows import Row

ROW = json.loads(
    json.dumps(
        dataclasses.asdict(
            Row(1, 1.0, 0.5, None, None, 1.0, 0.5, 3, 1.0, 3.0, [(0.5, 1.5, 0.25), (1.0, 1.0, 0.5)])
        )
    )
)
