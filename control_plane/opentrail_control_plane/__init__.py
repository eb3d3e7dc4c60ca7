"""The control plane: what AWS clients ask CloudTrail for, answered from OpenTrail's own state.

A request is verified (`signature_v4`), read by botocore's model of the service (`protocol`, `model`),
answered by a function of `operations`, and written as AWS JSON 1.1. `server` puts it on a port.
"""
