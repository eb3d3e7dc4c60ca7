"""The validator as a service: every chain is validated again and again, and whoever asks is told what is wrong.

`cycle` passes over all chains; `book` keeps what is open over restarts; `watching` runs cycles and sends notices;
`servicer` and `server` answer gRPC calls. Which chains there are, and where notices go, are ports (`port`).
"""
