"""Tools, resources and prompts that the conformance suite expects of its server, as the protocol writes them."""

from typing import Any

Json = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="

NOTHING: Json = {"type": "object", "properties": {}}
SCHEMA_2020 = "https://json-schema.org/draft/2020-12/schema"


def text(said: str) -> Json:
    """Return a text as an item of content."""
    return {"type": "text", "text": said}


def resource(uri: str, kind: str, said: str) -> Json:
    """Return a resource as an item of content."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": said}}


def strings(*names: str) -> Json:
    """Return a schema with these strings, all of them required."""
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}


IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}

FIXED_RESULTS: dict[str, list[Json]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
    "test_trigger_tool_change": [text("The tools have changed.")],
    "test_trigger_prompt_change": [text("The prompts have changed.")],
    "test_custom_headers": [text("The headers are those of the body.")],
    "json_schema_2020_12_tool": [text("Valid.")],
}
"""Tools whose result is always the same."""

SCHEMAS: dict[str, Json] = {
    "test_sampling": strings("prompt"),
    "test_elicitation": strings("message"),
    "test_custom_headers": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        "required": ["region"],
    },
    "json_schema_2020_12_tool": {
        "$schema": SCHEMA_2020,
        "type": "object",
        "$defs": {"address": {"$anchor": "addressDef", **strings("street", "city")}},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
}
"""The schemas of the tools that take arguments."""

READ_ONLY = ("test_simple_text", "test_image_content")

RESOURCES: dict[str, Json] = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}

PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}
"""The prompts, and the arguments of each."""


def prompt(name: str, given: Json) -> list[Json]:
    """Return the content of a prompt."""
    if name == "test_prompt_with_arguments":
        return [text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")]
    if name == "test_prompt_with_embedded_resource":
        said = "Embedded resource content for testing."
        return [
            resource(given["resourceUri"], "text/plain", said),
            text("Please process the embedded resource above."),
        ]
    if name == "test_prompt_with_image":
        return [IMAGE, text("Please analyze the image above.")]
    return [text("This is a simple prompt for testing.")]


def choice(*values: str) -> Json:
    """Return the schema of one of these values."""
    return {"type": "string", "enum": list(values)}


def titled(kind: str, **titles: str) -> Json:
    """Return a schema of values with titles."""
    return {kind: [{"const": value, "title": title} for value, title in titles.items()]}


FORMS: dict[str, tuple[str, Json]] = {
    "test_elicitation": ("", strings("username", "email")),
    "test_elicitation_sep1034_defaults": (
        "Please provide user information",
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "default": "John Doe"},
                "age": {"type": "integer", "default": 30},
                "score": {"type": "number", "default": 95.5},
                "status": {**choice("active", "inactive", "pending"), "default": "active"},
                "verified": {"type": "boolean", "default": True},
            },
        },
    ),
    "test_elicitation_sep1330_enums": (
        "Please select values",
        {
            "type": "object",
            "properties": {
                "untitledSingle": choice("option1", "option2", "option3"),
                "titledSingle": {"type": "string", **titled("oneOf", value1="First", value2="Second", value3="Third")},
                "legacyEnum": {**choice("opt1", "opt2", "opt3"), "enumNames": ["One", "Two", "Three"]},
                "untitledMulti": {"type": "array", "items": choice("option1", "option2", "option3")},
                "titledMulti": {"type": "array", "items": titled("anyOf", value1="First", value2="Second")},
            },
        },
    ),
}
"""Tools of the legacy era that ask the user, and the form that each shows."""


def form(message: str, name: str, kind: str = "string") -> Json:
    """Return a question to the user with one field, as a modern server asks it in its result."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sampling(question: str, tokens: int) -> Json:
    """Return a question to the model."""
    message = {"role": "user", "content": text(question)}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}


ROOTS: Json = {"method": "roots/list", "params": {}}
NAME = form("What is your name?", "name")

QUESTIONS: dict[str, list[Json]] = {
    "test_input_required_result_elicitation": [{"user_name": NAME}],
    "test_input_required_result_sampling": [{"capital_question": sampling("What is the capital of France?", 100)}],
    "test_input_required_result_list_roots": [{"client_roots": ROOTS}],
    "test_input_required_result_request_state": [{"confirm": form("Please confirm", "ok", "boolean")}],
    "test_input_required_result_multiple_inputs": [
        {"user_name": NAME, "greeting": sampling("Generate a greeting", 50), "client_roots": ROOTS}
    ],
    "test_input_required_result_multi_round": [
        {"step1": form("Step 1: What is your name?", "name")},
        {"step2": form("Step 2: What is your favorite color?", "color")},
    ],
    "test_input_required_result_tampered_state": [{"confirm": form("Please confirm", "ok", "boolean")}],
    "test_input_required_result_capabilities": [{"question": sampling("Which one?", 50), "user_name": NAME}],
    "test_input_required_result_prompt": [{"user_context": form("What context should the prompt use?", "context")}],
    "test_streaming_elicitation": [{"user_name": NAME}],
}
"""Requests of the modern era that need answers of the client first: the questions of each round."""

WITHOUT_STATE = (
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_prompt",
    "test_streaming_elicitation",
)

OTHER_TOOLS = (
    "test_error_handling",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_logging_tool",
    "test_reconnection",
    "test_sampling",
    "test_missing_capability",
)

TOOLS = [
    {
        "name": name,
        "description": f"A tool for the scenarios of the conformance suite: {name}",
        "inputSchema": SCHEMAS.get(name, NOTHING),
        "annotations": {"readOnlyHint": name in READ_ONLY},
    }
    for name in (*FIXED_RESULTS, *OTHER_TOOLS, *FORMS, *(each for each in QUESTIONS if not each.endswith("prompt")))
]
