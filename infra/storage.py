"""Makes the table and the queues of template.yaml in an emulator, and prints their names as export lines.

It deploys the template itself, reduced to its storage, so that there is no second description of a table or queue to
keep true. The endpoint and the credentials come from the environment.
"""

import json
import pathlib

import boto3
from samtranslator.yaml_helper import yaml_parse

STACK = "payrelay"
STORAGE = ("AWS::DynamoDB::Table", "AWS::SQS::Queue")
ENVIRONMENT = {
    "PAYRELAY_TABLE": "Table",
    "PAYRELAY_QUEUE_RECOVER": "RecoverQueue",
    "PAYRELAY_QUEUE_FANOUT": "FanoutQueue",
    "PAYRELAY_QUEUE_DELIVER": "DeliverQueue",
    "PAYRELAY_QUEUE_DELIVER_ORDERED": "DeliverOrderedQueue",
    "PAYRELAY_DEAD_RECOVER": "RecoverDeadQueue",
    "PAYRELAY_DEAD_FANOUT": "FanoutDeadQueue",
    "PAYRELAY_DEAD_DELIVER": "DeliverDeadQueue",
    "PAYRELAY_DEAD_DELIVER_ORDERED": "DeliverOrderedDeadQueue",
}


def storage_of(template: dict) -> dict:
    """The template with the table and the queues only."""
    resources = {name: it for name, it in template["Resources"].items() if it["Type"] in STORAGE}
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Parameters": {"DeletionProtection": template["Parameters"]["DeletionProtection"]},
        "Resources": resources,
        "Outputs": {name: {"Value": {"Ref": name}} for name in resources},
    }


def main() -> None:
    template = yaml_parse((pathlib.Path(__file__).parent / "template.yaml").read_text())
    formation = boto3.client("cloudformation")
    try:
        formation.create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(storage_of(template)),
            Parameters=[{"ParameterKey": "DeletionProtection", "ParameterValue": "false"}],
        )
    except formation.exceptions.AlreadyExistsException:
        pass
    formation.get_waiter("stack_create_complete").wait(
        StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    stack = formation.describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
    for variable, output in ENVIRONMENT.items():
        print(f"export {variable}={outputs[output]}")


if __name__ == "__main__":
    main()
