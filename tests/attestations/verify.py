"""Verifies a statement with the libraries of others, and prints what it states as JSON.

Usage: verify.py ENVELOPE PUBLIC_KEY. It ends with 1 where the signature does not hold.
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def main(envelope_path, key_path):
    with open(envelope_path, encoding="utf-8") as file:
        envelope = Envelope.from_dict(json.load(file))
    with open(key_path, "rb") as file:
        public_key = load_pem_public_key(file.read())
    key = SSlibKey.from_crypto(public_key, keyid=next(iter(envelope.signatures)))
    try:
        envelope.verify([key], 1)
    except VerificationError as error:
        sys.exit(f"not verified: {error}")
    statement = Statement.copy_from_pb(json_format.Parse(envelope.payload, statement_pb2.Statement()))
    statement.validate()
    subject = statement.pb.subject[0]
    told = {
        "payloadType": envelope.payload_type,
        "name": subject.name,
        "digest": dict(subject.digest),
        "predicateType": statement.pb.predicate_type,
        "outcome": statement.pb.predicate["outcome"],
    }
    print(json.dumps(told))


main(*sys.argv[1:])
