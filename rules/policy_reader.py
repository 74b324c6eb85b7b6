"""From the text of a policy to a `Policy`: values first, then how they fit together."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from blocklists.url import UrlError, canonical_host
from rules.groups import Group, Place, Roster, Timed, severity, strictest_of
from rules.keywords.sets import KeywordSet, check_phrases, load_keyword_file, read_sets, starter_sets
from rules.kinds import CONTEXTS
from rules.policy_value import Policy
from rules.problems import PolicyError
from rules.reading import Reader, did_you_mean, dotted
from rules.safety import Safety
from rules.schedule import Schedule
from rules.schema import ROOT
from rules.school_lists import EntryIndex, SchoolEntry, read_entry
from rules.settings import Category, Gateway, Limits, Retention, School, TextSettings

type Values = dict[str, Any]


def read_policy(text: str, file: str, frozen: tuple[KeywordSet, ...] | None = None) -> Policy:
    """Return the policy; raises `PolicyError` with every problem found."""
    reader = Reader(text, file)
    values = reader.section(ROOT, reader.data, ())
    reader.finish()
    folder = Path(file).parent
    categories = _categories(values)
    names = _names(reader, categories)
    groups = _groups(reader, values, categories)
    strictest = _strictest(reader, values, groups, categories)
    places = _places(reader, values, groups)
    allow, deny = _entries(reader, values, "allow", groups), _entries(reader, values, "deny", groups)
    hosts = _hosts(reader, values["gateway"])
    private = values["text"]["private_categories"]
    _check_categories(reader, ("text", "private_categories"), dict.fromkeys(private), categories)
    sets, keyword_files = (frozen, ()) if frozen is not None else _keyword_sets(reader, values, categories, folder)
    reader.finish()
    gateway, text_values = values["gateway"], values["text"]
    return Policy(
        school=School(**values["school"]),
        gateway=_gateway(gateway, hosts, folder),
        limits=Limits(**values["limits"]),
        text=TextSettings(
            text_values["pages"], text_values["typed"], frozenset(text_values["skip_hosts"]), text_values["alert_level"],
            {context: text_values[f"{context}_threshold"] for context in CONTEXTS},
            frozenset(private), text_values["model"], text_values["model_blocks"],
        ),
        safety=_safety(gateway, hosts),
        categories=categories,
        names=names,
        groups=groups,
        roster=Roster(groups, places, strictest, gateway["require_sign_in"]),
        allow_entries=EntryIndex(allow),
        deny_entries=EntryIndex(deny),
        keyword_sets=sets,
        required_sealed=tuple(values["sealed"]["required"]),
        own_hosts=frozenset({gateway["own_host"]}),
        keyword_files=keyword_files,
        retention=Retention(**values["retention"]),
    )  # fmt: skip


def _hosts(reader: Reader, values: Values) -> dict[str, str]:
    hosts = {}
    for name, address in values["hosts"].items():
        try:
            hosts[canonical_host(name)] = address
        except UrlError:
            reader.fault(("gateway", "hosts", name), f'"{name}" is not a host name; write for example "library.lan" = "10.0.0.5".')
    return hosts


def _gateway(values: Values, hosts: dict[str, str], folder: Path) -> Gateway:
    return Gateway(
        own_host=values["own_host"],
        connect_ports=frozenset(values["connect_ports"]),
        trusted_ca=str(folder / values["trusted_ca"]) if values["trusted_ca"] else "",
        hosts=hosts,
        splice=frozenset(values["splice"]),
        require_sign_in=values["require_sign_in"],
        header_seconds=values["header_seconds"],
        idle_seconds=values["idle_seconds"],
        max_connections=values["max_connections"],
    )


def _safety(values: Values, hosts: dict[str, str]) -> Safety:
    targets = values["private_targets"]
    return Safety(
        ports=frozenset(values["ports"]),
        connect_ports=frozenset(values["connect_ports"]),
        private_networks=tuple(target for target in targets if not isinstance(target, str)),
        private_hosts=frozenset(target for target in targets if isinstance(target, str))
        # A host whose address the school wrote down itself may lie inside its network.
        | frozenset(hosts),
        numeric_networks=tuple(values["numeric_targets"]),
    )


@cache
def starter_categories() -> dict[str, Category]:
    """Return the categories that every policy knows without writing them: those of the starter policy."""
    text = (files("rules") / "starter_policy.toml").read_text(encoding="utf-8")
    return {
        name: Category(name, table.get("title", name), table.get("theme", name), table.get("level", 1), tuple(table.get("includes", ())))
        for name, table in tomllib.loads(text)["categories"].items()
    }


def _categories(values: Values) -> dict[str, Category]:
    """Return the starter categories with the file's own over them; a list's name goes where the file puts it."""
    own = values["categories"]
    claimed = {included for table in own.values() for included in table["includes"]} | set(own)
    categories: dict[str, Category] = {}
    for name in (*own, *(name for name in starter_categories() if name not in own)):
        known = starter_categories().get(name) or Category(name, name, name, 1, ())
        table = own.get(name, {"title": None, "theme": None, "level": None, "includes": []})
        level = table["level"] if table["level"] is not None else known.level
        kept = tuple(included for included in known.includes if included not in claimed)
        categories[name] = Category(name, table["title"] or known.title, table["theme"] or known.theme, level, (*table["includes"], *kept))
    return categories


def _names(reader: Reader, categories: dict[str, Category]) -> dict[str, str]:
    names = {name: name for name in categories}
    for category in categories.values():
        for index, included in enumerate(category.includes):
            owner = names.setdefault(included, category.name)
            if owner != category.name:
                path = ("categories", category.name, "includes", index)
                reader.fault(path, f'"{included}" already belongs to category "{owner}"; name it in one category only.')
    return names


def _groups(reader: Reader, values: Values, categories: dict[str, Category]) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    owners: dict[str, str] = {}
    common = {context: values["text"][f"{context}_threshold"] for context in CONTEXTS}
    apart = any(weight is not None for table in values["groups"].values() for weight in table["thresholds"].values())
    for name, table in values["groups"].items():
        path = ("groups", name)
        _check_categories(reader, (*path, "actions"), table["actions"], categories)
        _check_categories(reader, (*path, "text"), table["text"], categories)
        timed = []
        for index, entry in enumerate(table["timed"]):
            _check_categories(reader, (*path, "timed", index, "actions"), entry["actions"], categories)
            schedule = Schedule(frozenset().union(*entry["days"]), tuple(entry["times"]))
            timed.append(Timed(entry["name"], schedule, entry["actions"], entry["default"]))
        for index, user in enumerate(table["users"]):
            owner = owners.setdefault(user.casefold(), name)
            if owner != name:
                reader.fault((*path, "users", index), f'User "{user}" already belongs to group "{owner}".')
        groups[name] = Group(
            name, table["title"] or name, frozenset(table["users"]), table["default"], table["other_categories"],
            table["actions"], table["text"], tuple(timed),
            {**common, **{context: weight for context, weight in table["thresholds"].items() if weight is not None}} if apart else None,
        )  # fmt: skip
    if not groups:
        reader.fault((), "The policy has no group; write at least one [groups.NAME].")
    return groups


def _check_categories(reader: Reader, path: tuple[str | int, ...], actions: Values, categories: dict[str, Category]) -> None:
    for category in actions:
        if category not in categories:
            known = ", ".join(categories) or "none yet; write [categories.NAME] first"
            message = f'{dotted(path)}: there is no category "{category}".{did_you_mean(category, categories)} The categories are: {known}.'
            reader.fault((*path, category), message)


def _check_group(reader: Reader, path: tuple[str | int, ...], name: str, groups: dict[str, Group]) -> None:
    if name not in groups:
        reader.fault(path, f'There is no group "{name}".{did_you_mean(name, groups)} The groups are: {", ".join(groups)}.')


def _strictest(reader: Reader, values: Values, groups: dict[str, Group], categories: dict[str, Category]) -> str:
    if not groups:
        return ""
    names = list(categories)
    strictest = strictest_of(groups, names)
    wanted = values["default_group"]
    if wanted is None:
        return strictest
    _check_group(reader, ("default_group",), wanted, groups)
    if wanted in groups and severity(groups[wanted], names) < severity(groups[strictest], names):
        message = f'default_group "{wanted}" is milder than group "{strictest}"; somebody unknown has to be in the strictest group.'
        reader.fault(("default_group",), message)
    return str(wanted)


def _places(reader: Reader, values: Values, groups: dict[str, Group]) -> tuple[Place, ...]:
    places = []
    seen: dict[object, str] = {}
    for index, table in enumerate(values["subnets"]):
        path = ("subnets", index)
        _check_group(reader, (*path, "group"), table["group"], groups)
        for number, network in enumerate(table["networks"]):
            if network in seen:
                reader.fault(
                    (*path, "networks", number), f"{network} already stands in {seen[network]}; a network can be in one entry only."
                )
            seen[network] = dotted(path)
            places.append(Place(network, table["group"], table["room"], table["require_sign_in"]))
    return tuple(places)


def _entries(reader: Reader, values: Values, key: str, groups: dict[str, Group]) -> tuple[SchoolEntry, ...]:
    entries = []
    for index, table in enumerate(values[key]):
        for number, group in enumerate(table["groups"]):
            _check_group(reader, (key, index, "groups", number), group, groups)
        for number, text in enumerate(table["entries"]):
            try:
                entries.append(read_entry(text, table.get("category") or "school", frozenset(table["groups"])))
            except ValueError as error:
                reader.fault((key, index, "entries", number), str(error))
    return tuple(entries)


def _keyword_sets(
    reader: Reader, values: Values, categories: dict[str, Category], folder: Path
) -> tuple[tuple[KeywordSet, ...], tuple[str, ...]]:
    """Return every set in force and the files that were read."""
    check_phrases(reader, values["keyword_sets"])
    sets = list(starter_sets()) if values["keywords"]["starter"] else []
    sets += read_sets(reader, values["keyword_sets"])
    read = []
    for index, name in enumerate(values["keywords"]["files"]):
        read.append(str(folder / name))
        try:
            sets += load_keyword_file(folder / name)
        except PolicyError as error:
            reader.problems += error.problems
        except ValueError:  # a name that no file can have
            reader.fault(("keywords", "files", index), f'"{name}" is not a file name.')
    known = ", ".join(categories)
    for index, table in enumerate(values["keyword_sets"]):
        if table["category"] not in categories:
            reader.fault(("keyword_sets", index, "category"), f'There is no category "{table["category"]}". The categories are: {known}.')
    unknown = {one.category for one in sets if one.category not in categories} - {table["category"] for table in values["keyword_sets"]}
    if unknown:
        reader.fault(("keywords", "files"), f"The files use categories that the policy lacks: {', '.join(sorted(unknown))}.")
    return tuple(sets), tuple(read)
