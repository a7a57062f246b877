"""What a reviewer wants to see of a change: its infrastructure, and whether data is safe."""

from aws_cdk import App
from aws_cdk.assertions import Template

from app import shop


def test_template(template_snapshot):
    assert Template.from_stack(shop(App())).to_json() == template_snapshot


def test_what_holds_data_stays(stateful_identities):
    stateful_identities({"Shop": Template.from_stack(shop(App())).to_json()})
