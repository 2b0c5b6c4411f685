"""Runs the SAM transform over both templates, as CloudFormation would, and checks what it made.

What SAM adds unasked is seen only here: a managed policy on a role, a role that we did not write.
"""

import json
import os
import pathlib
import sys
from types import SimpleNamespace

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.translator.transform import transform  # noqa: E402 (reads the region when imported)
from samtranslator.yaml_helper import yaml_parse  # noqa: E402


# Each template, and the attribute by which the items of its table expire.
TEMPLATES = {"template.yaml": "ttl", "receiver.yaml": "expires_at"}


def check(file: str, expiry: str) -> list:
    """What is wrong with a template, once it is transformed."""
    template = yaml_parse((pathlib.Path(__file__).parent / file).read_text())
    written = {name for name, it in template["Resources"].items() if it["Type"] == "AWS::IAM::Role"}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    made = transform(template, {}, SimpleNamespace(load=lambda: {}))["Resources"]

    of_type = lambda name: {it: made[it]["Properties"] for it in made if made[it]["Type"] == name}  # noqa: E731
    functions = of_type("AWS::Lambda::Function")
    timeouts = {name: it["Timeout"] for name, it in functions.items()}
    problems = []
    if "ManagedPolicyArns" in json.dumps(made):
        problems.append("a role has a managed policy")
    if extra := set(of_type("AWS::IAM::Role")) - written:
        problems.append(f"roles that the template does not write: {sorted(extra)}")
    for name, mapping in of_type("AWS::Lambda::EventSourceMapping").items():
        queue = mapping["EventSourceArn"]["Fn::GetAtt"][0]
        visibility, timeout = made[queue]["Properties"]["VisibilityTimeout"], timeouts[mapping["FunctionName"]["Ref"]]
        if visibility < 6 * timeout:
            problems.append(f"{queue} is visible again after {visibility} s, less than six times {timeout} s")
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            problems.append(f"{name} does not report failures of single messages")
    # The deploy test can't see it: its emulator takes no TTL from a template.
    for name, table in of_type("AWS::DynamoDB::Table").items():
        if table.get("TimeToLiveSpecification") != {"AttributeName": expiry, "Enabled": True}:
            problems.append(f"{name} does not let its items expire by `{expiry}`")
    of_them = f"{len(made)} resources of {len(template['Resources'])}, {len(functions)} of them functions"
    print(f"{file}: the transform makes {of_them}")
    return [f"{file}: {problem}" for problem in problems]


def main() -> None:
    problems = [problem for file, expiry in TEMPLATES.items() for problem in check(file, expiry)]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
