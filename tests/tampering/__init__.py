"""The tamper matrix: real evidence, at least forty kinds of tampering, what we say of each, and what the AWS CLI says.

`attacker/` knows nothing of the program that wrote the evidence. The modules beside it make the evidence by the real
pipeline, and ask the judges.
"""
