"""``.. settings-reference::`` writes down every setting."""

from __future__ import annotations

from collections.abc import Iterable

from docutils import nodes
from settings_told import A_FUNCTION, Setting, all_settings, ignored, variables
from settings_words import Words, described, shipped
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from written import blocks, literal, moved_in, prose, title


class SettingsReference(SphinxDirective):
    """The tables of the file in their order, and the environment."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(reference(), allow_section_headings=True)


def reference() -> str:
    """The pages of the reference, reStructuredText."""
    settings, words = all_settings(), shipped()
    parts = [blocks(words.before[0].partition("\n\n")[2])]
    for section in dict.fromkeys(setting.section for setting in settings):
        if section:
            parts.append(title(f"[{section}]", "="))
        if section == A_FUNCTION:
            parts += map(blocks, words.after)
        parts.append(blocks(words.of_sections.get(section, "")))
        parts += [_entry(each, words) for each in settings if each.section == section]
    return "\n\n".join([*parts, *_environment()])


def _entry(setting: Setting, words: Words) -> str:
    lines = [f".. confval:: {setting.name}"]
    if setting.default:
        lines.append(f"   :default: {literal(setting.default)}")
    about = [f"Allowed: {prose(setting.allowed)}."]
    if setting.section != A_FUNCTION:
        about.insert(0, blocks(described(setting, words)))
    if setting.variables:
        about.append(f"Counts over it: {', '.join(map(literal, setting.variables))}.")
    return "\n".join([*lines, "", moved_in("\n\n".join(about))])


def _environment() -> list[str]:
    parts = [title("The environment", "=")]
    parts.append("OpenFaaS' own variables, which count over the file:")
    over = {name: ", ".join(map(literal, keys)) for name, keys in variables().items()}
    parts.append(_table(over.items()))
    parts.append("These are ignored, and the log says why:")
    parts.append(_table((name, prose(reason)) for name, reason in ignored().items()))
    return parts


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [".. list-table::", "   :widths: 40 60", "   :align: left", ""]
    for name, said in rows:
        lines += [f"   * - {literal(name)}", f"     - {said}"]
    return "\n".join(lines)


def setup(app: Sphinx) -> dict[str, object]:
    app.add_directive("settings-reference", SettingsReference)
    return {"parallel_read_safe": True}
