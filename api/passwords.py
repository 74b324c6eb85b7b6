"""Which passwords the console accepts from somebody who chooses one."""

from analyser.casework.accounts import CONSOLE_PASSWORD as LEAST

# Beginnings of the passwords that lead every published list, and words that a school's attacker tries first. A password
# that is little more than one of them, with digits and signs around it, is refused (NCSC: deny lists over complexity).
_COMMON = frozenset(
    [
        "password",
        "passw0rd",
        "passwort",
        "p@ssword",
        "p@ssw0rd",
        "qwerty",
        "qwertyuiop",
        "qwertzuiop",
        "azerty",
        "asdfghjkl",
        "zxcvbnm",
        "letmein",
        "welcome",
        "admin",
        "administrator",
        "iloveyou",
        "monkey",
        "dragon",
        "football",
        "baseball",
        "sunshine",
        "princess",
        "superman",
        "batman",
        "trustno",
        "starwars",
        "whatever",
        "michael",
        "charlie",
        "liverpool",
        "arsenal",
        "chelsea",
        "school",
        "schoolgate",
        "teacher",
        "headteacher",
        "safeguarding",
        "technician",
        "governor",
        "changeme",
        "secret",
        "summer",
        "winter",
        "spring",
        "autumn",
        "january",
        "february",
        "november",
        "december",
        "monday",
        "friday",
        "london",
        "england",
        "correcthorsebatterystaple",
    ]
)
_RUNS = "01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm"


def fault_of(password: str, name: str) -> str | None:
    """Say in one sentence why the password can't be used, or None when it can."""
    if len(password) < LEAST:
        return f"A password needs at least {LEAST} characters; this one has {len(password)}."
    folded = password.casefold()
    letters = "".join(character for character in folded if character.isalpha())
    if len(set(folded)) < 5 or _is_run(folded):
        return "That password repeats itself or follows the keyboard; choose three or four words that do not belong together."
    halves = {letters, letters[: len(letters) // 2] if letters[: len(letters) // 2] * 2 == letters else letters}
    if halves & _COMMON or any(folded.replace(word, "", 1).strip("0123456789!?.,-_#@*$%&+ ") == "" for word in _COMMON if word in folded):
        return "That password is one of the first that anybody would try; choose three or four words that do not belong together."
    if name and len(name) >= 3 and len(folded.replace(name.casefold(), "")) < 8:
        return "The password is little more than the name; choose three or four words that do not belong together."
    return None


def _is_run(folded: str) -> bool:
    """Say whether the whole password is pieces of rows and counts, each of at least four characters."""
    position = 0
    while position < len(folded):
        for length in range(min(20, len(folded) - position), 3, -1):
            piece = folded[position : position + length]
            if any(piece in run or piece[::-1] in run for run in _RUNS):
                position += length
                break
        else:
            return False
    return True
