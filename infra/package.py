"""Writes a template as `sam build` would leave it, around binaries that are built already.

    package.py OUT [TEMPLATE]   OUT/<function>/bootstrap are the binaries; writes OUT/template.json
"""

import json
import pathlib
import sys

from samtranslator.yaml_helper import yaml_parse

BATCHED = ("sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
PARTIQL = {"dynamodb:PartiQLInsert": "dynamodb:BatchExecuteStatement"}


def lacking(resource: dict) -> str | None:
    """Why a resource has to stay out of the emulator, if it has to."""
    if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
        return "it knows no alarm on a metric expression"
    if resource["Type"] == "AWS::SQS::QueuePolicy":
        return "it is reached over plain http, which the policy refuses"
    return None


def with_batches(action: str | list) -> list:
    """The actions of a statement, and those that the emulator asks for when a request is a batch."""
    actions = [action] if isinstance(action, str) else action
    return actions + [f"{it}Batch" for it in actions if it in BATCHED]


def adapted(template: dict) -> dict:
    """The template without what the emulator lacks, each named."""
    for name, resource in list(template["Resources"].items()):
        if why := lacking(resource):
            print(f"left out of the template for ministack: {name}: {why}")
            del template["Resources"][name]
    # It takes a parameter of type Number for text here, and then its poller stops at the comparison.
    concurrency = template["Parameters"]["MaxConcurrency"]["Default"]
    for resource in template["Resources"].values():
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] == "SQS":
                event["Properties"]["ScalingConfig"]["MaximumConcurrency"] = concurrency
    print(f"changed in the template for ministack: MaximumConcurrency is {concurrency}, not a parameter")
    # SQS has no such actions: a batch is allowed by the action for one message.
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                statements = policy["PolicyDocument"]["Statement"]
                for statement in statements:
                    statement["Action"] = with_batches(statement["Action"])
                # It asks for the name of the request, and does not see which table a statement names.
                asked = [it for statement in statements for action, it in PARTIQL.items() if action in statement["Action"]]
                if asked:
                    statements.append({"Effect": "Allow", "Action": asked, "Resource": "*"})
    print(f"changed in the template for ministack: who may {', '.join(BATCHED)} also may the same with Batch behind it")
    print(f"changed in the template for ministack: {PARTIQL}, on any table")
    return template


def built(template: dict) -> dict:
    """The template with each function's folder as its code."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            binary = resource.pop("Metadata")["BuildProperties"]["Binary"]
            resource["Properties"]["CodeUri"] = f"./{binary}"
    return template


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    name = sys.argv[2] if len(sys.argv) > 2 else "template.yaml"
    template = yaml_parse((pathlib.Path(__file__).parent / name).read_text())
    (out / "template.json").write_text(json.dumps(adapted(built(template)), indent=1))


if __name__ == "__main__":
    main()
