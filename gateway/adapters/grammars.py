"""What the grammars call definitions and imports, by language; and the wheel that has each."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Grammar:
    """`module` has the function `maker`, which gives the grammar. The others are its node types:
    `bodies` are definitions that an outline cuts short, `scopes` those that it descends into;
    `wrappers` may stand around either. `comment` is how a line starts that is only a comment."""

    module: str
    bodies: str = ""
    scopes: str = ""
    imports: str = ""
    wrappers: str = ""
    comment: tuple[str, ...] = ("//", "/*", "*", "@")
    maker: str = "language"
    more: str = ""
    """A query for what is a definition only with something special in it."""

    @property
    def package(self) -> str:
        """The name of the wheel."""
        return self.module.replace("_", "-")


_HASH = ("#",)
_JS_BODIES = "function_declaration generator_function_declaration method_definition"
_JS_WRAPPERS = "export_statement lexical_declaration variable_declaration"
_JS_MORE = "(variable_declarator value: [(arrow_function) (function_expression)]) @body"
_JAVASCRIPT = Grammar(
    "tree_sitter_javascript",
    bodies=_JS_BODIES,
    scopes="class_declaration",
    imports="import_statement",
    wrappers=_JS_WRAPPERS,
    more=_JS_MORE,
)
_TS_SCOPES = """class_declaration abstract_class_declaration interface_declaration internal_module
    module enum_declaration"""
_TYPESCRIPT = Grammar(
    "tree_sitter_typescript",
    bodies=f"{_JS_BODIES} function_signature type_alias_declaration",
    scopes=_TS_SCOPES,
    imports="import_statement",
    wrappers=f"{_JS_WRAPPERS} ambient_declaration",
    maker="language_typescript",
    more=_JS_MORE,
)
_C_SCOPES = "struct_specifier union_specifier enum_specifier"

GRAMMARS: dict[str, Grammar] = {
    "python": Grammar(
        "tree_sitter_python",
        bodies="function_definition",
        scopes="class_definition",
        imports="import_statement import_from_statement future_import_statement",
        wrappers="decorated_definition",
        comment=_HASH,
    ),
    "javascript": _JAVASCRIPT,
    "javascriptreact": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "typescriptreact": replace(_TYPESCRIPT, maker="language_tsx"),
    "java": Grammar(
        "tree_sitter_java",
        bodies="method_declaration constructor_declaration compact_constructor_declaration",
        scopes="""class_declaration interface_declaration enum_declaration record_declaration
            annotation_type_declaration""",
        imports="import_declaration package_declaration",
    ),
    "go": Grammar(
        "tree_sitter_go",
        bodies="function_declaration method_declaration",
        scopes="type_declaration",
        imports="import_declaration package_clause",
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        bodies="function_item macro_definition",
        scopes="impl_item trait_item mod_item struct_item enum_item union_item",
        imports="use_declaration extern_crate_declaration",
        comment=("//", "/*", "*", "#["),
    ),
    "c": Grammar(
        "tree_sitter_c",
        bodies="function_definition",
        scopes=_C_SCOPES,
        imports="preproc_include",
        wrappers="type_definition",
    ),
    "cpp": Grammar(
        "tree_sitter_cpp",
        bodies="function_definition",
        scopes=f"{_C_SCOPES} class_specifier namespace_definition",
        imports="preproc_include using_declaration",
        wrappers="template_declaration type_definition",
    ),
    "csharp": Grammar(
        "tree_sitter_c_sharp",
        bodies="""method_declaration constructor_declaration property_declaration
            local_function_statement operator_declaration indexer_declaration""",
        scopes="""class_declaration interface_declaration struct_declaration record_declaration
            enum_declaration namespace_declaration""",
        imports="using_directive",
    ),
    "ruby": Grammar(
        "tree_sitter_ruby", bodies="method singleton_method", scopes="class module", comment=_HASH
    ),
    "php": Grammar(
        "tree_sitter_php",
        bodies="function_definition method_declaration",
        scopes="class_declaration interface_declaration trait_declaration enum_declaration",
        imports="namespace_use_declaration namespace_definition",
        comment=("//", "/*", "*", "#"),
        maker="language_php",
    ),
    "kotlin": Grammar(
        "tree_sitter_kotlin",
        bodies="function_declaration secondary_constructor",
        scopes="class_declaration object_declaration companion_object",
        imports="import package_header",
    ),
    "swift": Grammar(
        "tree_sitter_swift",
        bodies="function_declaration init_declaration deinit_declaration subscript_declaration",
        scopes="class_declaration protocol_declaration",
        imports="import_declaration",
    ),
    "scala": Grammar(
        "tree_sitter_scala",
        bodies="function_definition",
        scopes="class_definition object_definition trait_definition enum_definition",
        imports="import_declaration package_clause",
    ),
    "lua": Grammar("tree_sitter_lua", bodies="function_declaration", comment=("--",)),
    "shellscript": Grammar("tree_sitter_bash", bodies="function_definition", comment=_HASH),
    "sql": Grammar(
        "tree_sitter_sql",
        bodies="create_table create_function create_procedure create_view create_trigger",
        comment=("--",),
    ),
    "css": Grammar("tree_sitter_css", bodies="rule_set", imports="import_statement"),
    "html": Grammar("tree_sitter_html", bodies="script_element style_element", scopes="element"),
    "json": Grammar("tree_sitter_json", bodies="pair", comment=()),
    "yaml": Grammar("tree_sitter_yaml", bodies="block_mapping_pair", comment=_HASH),
    "toml": Grammar("tree_sitter_toml", bodies="table table_array_element", comment=_HASH),
    "markdown": Grammar(
        "tree_sitter_markdown",
        bodies="paragraph fenced_code_block pipe_table list",
        scopes="section",
        comment=(),
    ),
}
"""By the language server protocol's name of the language."""
