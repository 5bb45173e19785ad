"""An S3-compatible server on loopback, for the tests of the object store. It verifies signatures (AWS SigV4) and holds
callers to their policies.

Usage: server.py BUCKET [CERTIFICATE KEY]

Prints one line of JSON when it serves: its port, the keys of a user who may use BUCKET and of one who may not, and serves
until its standard input ends.
"""

import json
import logging
import os
import sys
import threading

# Nothing of the caller's own accounts is used, and nothing is asked of the instance.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_DEFAULT_REGION="us-east-1")

import boto3
from moto.core import set_initial_no_auth_action_count
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)


def user(iam, name, action, resources):
    """The keys of a user who may do this to these."""
    iam.create_user(UserName=name)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resources}]}
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def main():
    bucket, *tls = sys.argv[1:]
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=tuple(tls) or None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {
        "endpoint_url": f"http{'s' if tls else ''}://127.0.0.1:{server.port}",
        "region_name": "us-east-1",
        "aws_access_key_id": "setup",
        "aws_secret_access_key": "setup",
        "verify": False,
    }
    boto3.client("s3", **options).create_bucket(Bucket=bucket)
    iam = boto3.client("iam", **options)
    users = {
        "owner": user(iam, "owner", "s3:*", ["arn:aws:s3:::*"]),
        "stranger": user(iam, "stranger", "s3:ListAllMyBuckets", ["*"]),
    }
    # From here on every request is held to its signature and its user's policy.
    set_initial_no_auth_action_count(0)(serve)({"port": server.port, **users})


def serve(told):
    print(json.dumps(told), flush=True)
    sys.stdin.read()


main()
