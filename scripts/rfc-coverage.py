#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares the source's citations of RFC 8684 with the RFC itself.

    scripts/rfc-coverage.py            normative sentences that no code and no test cites, by section
    scripts/rfc-coverage.py --check    only errors: a citation that is no quotation, a deviation
                                       without a reason; exits 1 when there is one
    scripts/rfc-coverage.py --all      every normative sentence with where it is cited

A citation stands where the sentence is implemented, in the grammar of the tool duvet:

    //= https://www.rfc-editor.org/rfc/rfc8684#section-3.7
    //= type=test                      (only in tests)
    //# quoted words, possibly on several lines

What the project does differently on purpose, or not yet, is listed in docs/deviations.toml.
"""

import pathlib
import re
import sys
import tomllib
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
RFC = ROOT / "docs" / "rfc" / "rfc8684.txt"
DEVIATIONS = ROOT / "docs" / "deviations.toml"
SOURCES = ("src", "tests/host", "tests/fuzz")
# The words of RFC 2119 in capitals make a sentence normative.
NORMATIVE = re.compile(r"\b(?:MUST|SHALL|SHOULD|REQUIRED|RECOMMENDED|MAY|OPTIONAL)\b")
BINDING = re.compile(r"\b(?:MUST|SHALL|SHOULD|REQUIRED|RECOMMENDED)\b")
HEADING = re.compile(r"^(\d+(?:\.\d+)*|Appendix [A-Z]|[A-Z]\.\d+(?:\.\d+)*)\.\s+\S")
PAGE_BREAK = re.compile(r"^(?:Ford, et al\.|RFC 8684\s).*$")


@dataclass
class Sentence:
    """A normative sentence of the RFC and what refers to it."""

    section: str
    text: str
    cited: list = field(default_factory=list)
    tested: list = field(default_factory=list)
    deviation: str = ""


@dataclass
class Citation:
    """A quotation in the source."""

    where: str
    section: str
    quote: str
    is_test: bool


def plain(text):
    """Text as one line, so that line breaks do not matter."""
    return re.sub(r"\s+", " ", text).strip()


def sections():
    """The RFC's sections: number -> text without page breaks."""
    result, number = {}, ""
    for line in RFC.read_text(encoding="utf-8-sig").splitlines():
        line = line.replace("\f", "")
        if PAGE_BREAK.match(line):
            continue
        heading = HEADING.match(line)
        if heading:
            number = heading.group(1).removeprefix("Appendix ")
        result.setdefault(number, []).append(line)
    return {number: "\n".join(lines) for number, lines in result.items() if number}


def sentences(number, text):
    """The normative sentences of one section."""
    for paragraph in re.split(r"\n\s*\n", text):
        # Drawings have no sentences.
        if re.search(r"\+[-=]{3}|\|\s{3}|-{8}", paragraph):
            continue
        for sentence in re.split(r"(?<=[.;:?])\s+(?=[A-Z\"(*])", plain(paragraph)):
            if NORMATIVE.search(sentence):
                yield Sentence(number, sentence)


def citations():
    """Every citation in the source."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.rs")):
            section, quote, is_test, begin = None, [], False, 0
            for count, line in enumerate([*path.read_text().splitlines(), ""], 1):
                line = line.strip()
                target = re.match(r"//= https://www\.rfc-editor\.org/rfc/rfc8684#section-([\w.]+)$", line)
                if section and not line.startswith(("//#", "//= type=")):
                    yield Citation(f"{path.relative_to(ROOT)}:{begin}", section, plain(" ".join(quote)), is_test)
                    section, quote, is_test = None, [], False
                if target:
                    section, begin = target.group(1), count
                elif line.startswith("//= type=test"):
                    is_test = True
                elif line.startswith("//#") and section:
                    quote.append(line[3:])
                elif line.startswith(("//=", "//#")) and not section:
                    yield Citation(f"{path.relative_to(ROOT)}:{count}", "", line, is_test)


def is_about(sentence, section, quote):
    """Whether a quotation from `section` is about `sentence`."""
    return section == sentence.section and (quote in sentence.text or sentence.text in quote)


def main(arguments):
    """Prints the report that the arguments ask for; returns the exit status."""
    unknown = [argument for argument in arguments if argument not in ("--check", "--all")]
    if unknown:
        print(f"error: {unknown[0]} is no option: --check or --all", file=sys.stderr)
        return 2
    texts = sections()
    normative = [sentence for number, text in texts.items() for sentence in sentences(number, text)]
    errors = []

    for citation in citations():
        text = plain(texts.get(citation.section, ""))
        if not citation.section:
            errors.append(f"{citation.where}: not a citation of RFC 8684: {citation.quote}")
        elif not citation.quote:
            errors.append(f"{citation.where}: a citation needs a quotation below it, as //# text")
        elif citation.quote not in text:
            errors.append(f"{citation.where}: section {citation.section} does not say: {citation.quote}")
        for sentence in normative:
            if citation.quote and is_about(sentence, citation.section, citation.quote):
                (sentence.tested if citation.is_test else sentence.cited).append(citation.where)

    deviations = tomllib.loads(DEVIATIONS.read_text()).get("deviation", [])
    for count, deviation in enumerate(deviations, 1):
        name = f"docs/deviations.toml: deviation {count}"
        missing = [key for key in ("section", "quote", "kind", "reason") if not deviation.get(key)]
        if missing:
            errors.append(f"{name} has no {missing[0]}: section, quote, kind and reason are needed")
            continue
        if deviation["kind"] not in ("deliberate", "not yet"):
            errors.append(f"{name} is of kind '{deviation['kind']}': 'deliberate' or 'not yet'")
        section, quote = str(deviation["section"]), plain(deviation["quote"])
        if quote not in plain(texts.get(section, "")):
            errors.append(f"{name}: section {section} does not say: {quote}")
        for sentence in normative:
            if is_about(sentence, section, quote):
                sentence.deviation = deviation["kind"]

    for error in errors:
        print(error)
    if "--check" in arguments:
        return 1 if errors else 0

    print("normative sentences of RFC 8684, by section: cited in code / in tests / deviations / open")
    for number in texts:
        mine = [sentence for sentence in normative if sentence.section == number]
        if not mine:
            continue
        still_open = [s for s in mine if not (s.cited or s.tested or s.deviation)]
        print(f"\n{number}: {len(mine)} = {sum(bool(s.cited) for s in mine)} / "
              f"{sum(bool(s.tested) for s in mine)} / {sum(bool(s.deviation) for s in mine)} / {len(still_open)}")
        for sentence in mine if "--all" in arguments else still_open:
            where = ", ".join(sentence.cited + sentence.tested) or sentence.deviation or "OPEN"
            print(f"  [{where}] {sentence.text}" if "--all" in arguments else f"  {sentence.text}")
    binding = [s for s in normative if BINDING.search(s.text)]
    done = [s for s in binding if s.cited or s.tested or s.deviation]
    print(f"\n{len(done)} of {len(binding)} sentences with MUST or SHOULD are cited or listed as deviations; "
          f"{len(normative) - len(binding)} more say MAY")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
