"""The sandbox's SQS as boto3 speaks it over HTTP, and IAM's events in a queue as EventBridge delivers them."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from mfa_sandbox.aws import Account, EmbeddedAws
from mfa_sandbox.aws.queues import Queue
from tests.fixtures.aws import IamOf


@pytest.fixture
def queue(aws: EmbeddedAws) -> Queue:
    return aws.world.events_queue()


@pytest.fixture
def sqs(aws: EmbeddedAws) -> Iterator[Any]:
    client = aws.sqs()
    yield client
    client.close()


def bodies(sqs: Any, queue: Queue) -> list[dict[str, Any]]:
    """Everything that is in the queue, received and deleted."""
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
        entries = [{"Id": str(i), "ReceiptHandle": one["ReceiptHandle"]} for i, one in enumerate(messages)]
        assert not sqs.delete_message_batch(QueueUrl=queue.url, Entries=entries)["Failed"]
    return found


def test_a_message_comes_back_until_it_is_deleted(sqs: Any, queue: Queue) -> None:
    sqs.send_message(QueueUrl=queue.url, MessageBody="hello")
    received = sqs.receive_message(QueueUrl=queue.url, VisibilityTimeout=1)["Messages"]
    assert received[0]["Body"] == "hello"
    assert "Messages" not in sqs.receive_message(QueueUrl=queue.url)
    again = sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=5)["Messages"]
    assert again[0]["MessageId"] == received[0]["MessageId"]
    assert again[0]["Attributes"]["ApproximateReceiveCount"] == "2"
    sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=again[0]["ReceiptHandle"])
    attributes = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_long_poll_ends_with_the_first_message(sqs: Any, queue: Queue, aws: EmbeddedAws) -> None:
    timer = threading.Timer(0.3, lambda: queue.send("late", aws.world.now()))
    timer.start()
    received = sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20, MaxNumberOfMessages=10)["Messages"]
    timer.join()
    assert [message["Body"] for message in received] == ["late"]


def test_a_deleted_queue_does_not_exist(sqs: Any, queue: Queue, aws: EmbeddedAws) -> None:
    assert sqs.get_queue_url(QueueName=queue.name)["QueueUrl"] == queue.url
    poll: list[BaseException] = []

    def wait_for_message() -> None:
        try:
            sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20)
        except sqs.exceptions.QueueDoesNotExist as error:
            poll.append(error)

    waiting = threading.Thread(target=wait_for_message)
    waiting.start()
    sqs.delete_queue(QueueUrl=queue.url)
    waiting.join(5)
    assert not waiting.is_alive()
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.send_message(QueueUrl=queue.url, MessageBody="hello")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    aws.world.events_queue()
    sqs.send_message(QueueUrl=queue.url, MessageBody="hello")


def test_permissions_and_credentials_hold_for_sqs_too(sqs: Any, queue: Queue, aws: EmbeddedAws) -> None:
    aws.world.home.deny(["sqs:ReceiveMessage"])
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sqs.receive_message(QueueUrl=queue.url)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    aws.faults.add("SendMessage", "expired_token")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        sqs.send_message(QueueUrl=queue.url, MessageBody="hello")
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"


def test_changes_through_iam_are_events_and_reads_are_not(
    sqs: Any, queue: Queue, account: Account, iam_of: IamOf
) -> None:
    admin = iam_of(account.admin_credentials)
    admin.create_user(UserName="alice", Path="/eng/")
    admin.create_login_profile(UserName="alice", Password="Corr3ct-horse")
    device = admin.create_virtual_mfa_device(VirtualMFADeviceName="alice")["VirtualMFADevice"]["SerialNumber"]
    admin.enable_mfa_device(
        UserName="alice", SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321"
    )
    admin.update_user(UserName="alice", NewUserName="alicia")
    admin.tag_user(UserName="alicia", Tags=[{"Key": "team", "Value": "eng"}])
    admin.list_users()
    with pytest.raises(admin.exceptions.NoSuchEntityException):
        admin.delete_login_profile(UserName="nobody")
    events = bodies(sqs, queue)
    assert [event["detail"]["eventName"] for event in events] == [
        "CreateUser",
        "CreateLoginProfile",
        "CreateVirtualMFADevice",
        "EnableMFADevice",
        "UpdateUser",
        "TagUser",
        "DeleteLoginProfile",
    ]
    assert {event["account"] for event in events} == {account.id}
    first = events[0]
    assert (first["source"], first["region"], first["resources"]) == ("aws.iam", "us-east-1", [])
    assert first["detail-type"] == "AWS API Call via CloudTrail"
    assert first["detail"]["requestParameters"] == {"userName": "alice", "path": "/eng/"}
    assert first["detail"]["userIdentity"]["type"] == "AssumedRole"
    assert events[3]["detail"]["requestParameters"] == {"userName": "alice", "serialNumber": device}
    assert events[4]["detail"]["requestParameters"] == {"userName": "alice", "newUserName": "alicia"}
    assert events[6]["detail"]["errorCode"] == "NoSuchEntity"
    assert "Corr3ct-horse" not in json.dumps(events)
    assert "654321" not in json.dumps(events)


def test_a_user_who_names_nobody_is_the_caller(sqs: Any, queue: Queue, account: Account, iam_of: IamOf) -> None:
    alice = account.user("alice", password=True, mfa=["virtual"])
    queue.purge()
    iam_of(alice.credentials()).deactivate_mfa_device(SerialNumber=alice.mfa_serials[0])
    (event,) = bodies(sqs, queue)
    assert "userName" not in event["detail"]["requestParameters"]
    assert event["detail"]["userIdentity"]["userName"] == "alice"


def test_changes_from_the_outside_are_events_too(sqs: Any, queue: Queue, account: Account) -> None:
    alice = account.user("alice", password=True, mfa=["security_key"])
    alice.remove_mfa()
    account.root(mfa="virtual")
    alice.delete()
    events = [
        (one["detail"]["eventName"], one["detail"]["requestParameters"]["userName"]) for one in bodies(sqs, queue)
    ]
    assert events == [
        ("CreateUser", "alice"),
        ("CreateLoginProfile", "alice"),
        ("EnableMFADevice", "alice"),
        ("DeactivateMFADevice", "alice"),
        ("EnableMFADevice", "AWS ROOT USER"),
        ("DeleteUser", "alice"),
    ]


def test_events_of_china_come_from_beijing() -> None:
    with EmbeddedAws(partition="aws-cn") as aws:
        queue = aws.world.events_queue()
        assert queue.url == "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/mfa-operator-events"
        aws.world.account("111122223333").user("alice")
        (message,) = queue.receive(1, wait=0)
        assert json.loads(message.body)["region"] == "cn-north-1"
