"""Certificates: how much worse a plan is at most, on examples that nothing was chosen by; and gates on the same bounds.

Front doors: `certifying.certify`, `certificate.Certificate`, `used.used_examples`, `gate.judge`. Knows measurements and
evidence; never knows runs, bundles or who asks. `bound`, `certificate`, `certificate_words` and `gate` need no torch.
"""
