"""digits: 1,797 handwritten digits of 8 x 8 points, each a sequence of 64 samples (the data of scikit-learn)."""

from __future__ import annotations

import numpy as np

from smrdsl.data.contract import Baseline, Data, DataError, DataSet, Options, Part, Request
from smrdsl.data.extras import needs
from smrdsl.data.splits import drawn

SHARES = (0.7, 0.1, 0.2)


def load(options: Options, request: Request) -> Data:
    with needs("scikit-learn", "digits"):
        from sklearn.datasets import load_digits
    points, labels = load_digits(return_X_y=True)
    u = (np.asarray(points, dtype=np.float32) / 16)[:, :, None]
    if request.length is not None and request.length < u.shape[1]:
        raise DataError(f"the digits have {u.shape[1]} points: say length={u.shape[1]} in the spec or with --length")
    whole = Part(u, np.asarray(labels, dtype=np.int64))
    return Data("digits", *drawn(whole, 0, SHARES), classes=10, baselines=(regression,))


def regression(data: Data) -> Baseline:
    """What logistic regression on the 64 points reaches."""
    from sklearn.linear_model import LogisticRegression

    def flat(part: Part) -> np.ndarray:
        return part.u.reshape(len(part), -1)

    fitted = LogisticRegression(max_iter=2000).fit(flat(data.train), data.train.y)
    return Baseline("logistic regression", "accuracy", float(fitted.score(flat(data.test), data.test.y)))


DATASET = DataSet("digits", "Handwritten digits, a point at a time: ten classes.", load, source="UCI, by scikit-learn")
