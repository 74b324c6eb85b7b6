"""What requests to the JSON API carry; an unknown field is an error, so that a slip of the pen is not ignored."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from api.times import moment

SUBJECTS = ("user", "group", "room", "address")


class Body(BaseModel):
    """Common rules of all bodies."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class UnblockBody(Body):
    """Somebody asks for an address to be opened: for exactly one subject, for `minutes` or `until` a time."""

    url: str = Field(min_length=1, max_length=4096)
    scope: Literal["exact", "path", "host"] = "exact"
    subject_kind: Literal["user", "group", "room", "address"] | None = None
    subject: str | None = Field(default=None, max_length=200)
    user: str | None = Field(default=None, max_length=200)
    group: str | None = Field(default=None, max_length=200)
    room: str | None = Field(default=None, max_length=200)
    address: str | None = Field(default=None, max_length=200)
    reason: str = Field(min_length=1, max_length=500)
    minutes: int | None = Field(default=None, ge=1, le=525_600)
    until: float | str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_for(cls, value: object) -> object:
        """Take `"for": {"group": "ks2"}` as well as `"group": "ks2"`."""
        if isinstance(value, dict) and isinstance(value.get("for"), dict):
            whom = value["for"]
            return {**{key: item for key, item in value.items() if key != "for"}, **whom}
        return value

    @field_validator("until")
    @classmethod
    def _read_until(cls, value: float | str | None) -> float | None:
        return None if value is None else moment(str(value), "until")

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        short = [kind for kind in SUBJECTS if getattr(self, kind) is not None]
        if self.subject_kind is not None and self.subject is not None and not short:
            return self
        if len(short) != 1 or self.subject_kind is not None or self.subject is not None:
            raise ValueError("say for whom: exactly one of user, group, room or address (or subject_kind with subject)")
        self.subject_kind = short[0]  # type: ignore[assignment]
        self.subject = getattr(self, short[0])
        return self

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.minutes is None) == (self.until is None):
            raise ValueError("say either for how many minutes or until when")
        return self


class DecisionBody(Body):
    """Somebody approves or refuses; the approver may choose another length."""

    note: str = Field(default="", max_length=500)
    minutes: int | None = Field(default=None, ge=1, le=525_600)


class RefusalBody(Body):
    """Somebody refuses."""

    note: str = Field(default="", max_length=500)


class OutcomeBody(Body):
    """What a person did about an alert; it closes the alert. A closed one takes a further outcome as a correction only."""

    triage: Literal["true_positive", "false_positive", "unclear"]
    actions: list[str] = Field(min_length=1, max_length=20)
    note: str = Field(min_length=1, max_length=4000)
    correction: bool = False


class AccountBody(Body):
    """A new account: a role for the console, a group for the gateway, or both."""

    name: str = Field(min_length=1, max_length=100)
    role: str | None = None
    group: str | None = Field(default=None, max_length=50)


class AccountChangeBody(Body):
    """New role, group and state of an account; what is left out stays."""

    role: str | None = None
    group: str | None = Field(default=None, max_length=50)
    disabled: bool | None = None
