"""Models whose session is ours, so that they can be wrong on purpose: late, not finite, failing."""

import time

import numpy as np

from sentinel_agent.predict.onnx import Model
from sentinel_api.records import CLASSES

STATE = 1


class Session:
    """Answers like ONNX Runtime's, with one hazard for everything; `delay_s` before each answer."""

    def __init__(self, hazard=0.0, delay_s=0.0):
        self.hazard, self.delay_s = hazard, delay_s

    def run(self, _names, fed):
        time.sleep(self.delay_s)
        full = np.full((CLASSES, 10), self.hazard, np.float32)
        return [full, np.ones((CLASSES, 3), np.float32), np.ones((CLASSES, 4, 3), np.float32), fed["state"]]


def model(name, hazard=0.0, delay_s=0.0):
    return Model(name, digest=name, state=STATE, session=Session(hazard, delay_s))
