"""What can be known of an ONNX file before it is given to onnxruntime, and what is refused.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Only what
decides is read: tensors are skipped over, whatever their size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from isocline_runtime import messages_artifact as messages
from isocline_runtime.limits import NODE_LIMIT, Limits
from isocline_runtime.manifest import Manifest
from isocline_runtime.wire import BYTES, Slice, WireError, WireField, read_fields, read_text

LOWEST_OPSET, HIGHEST_OPSET = 18, 21
DEPTH_LIMIT = 16
STANDARD_DOMAINS = ("", "ai.onnx")
SPAN_KEY = "isocline.span"

MODEL_GRAPH, MODEL_OPSET, MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 8, 14, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_NAME, NODE_OP_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN, NODE_METADATA = 3, 4, 5, 7, 9
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
TENSOR_NAME, TENSOR_EXTERNAL, TENSOR_LOCATION = 8, 13, 14
SPARSE_TENSORS = (1, 2)
OPSET_DOMAIN, OPSET_VERSION = 1, 2


@dataclass(frozen=True)
class ModelFacts:
    """The operator set, how many nodes (nested graphs counted) and how many of them in loops, the metadata, and node
    name -> "line:column"."""

    opset: int
    nodes: int
    looped: int
    metadata: dict[str, str]
    spans: dict[str, str]


def inspect_model(data: bytes, file: str = "model.onnx", node_limit: int = NODE_LIMIT) -> ModelFacts:
    """Read the facts of an ONNX file, or refuse it.

    Refused (ArtifactError): bytes that are no ONNX model (E710), weights in other files (E711), operators or
    opsets of other domains (E712), local functions and training graphs (E713), an operator set outside 18..21
    (E714), more nodes than the limit (E715). Nested graphs are read as well.
    """
    walk = _Walk(data, file, node_limit)
    try:
        walk.read_model()
    except WireError as error:
        raise messages.malformed_model(file, error.offset, error.reason) from None
    return ModelFacts(walk.found_opset(), walk.nodes, walk.looped, walk.metadata, walk.spans)


def check_operations(facts: ModelFacts, manifest: Manifest | None, file: str, limits: Limits) -> None:
    """Raises E719 when a run would take too many, its loops going through every step that the manifest states."""
    solves = manifest.solves if manifest is not None else ()
    iterations = max((-(-solve.steps // max(solve.segment, 1)) for solve in solves if solve.segment), default=1)
    count = facts.nodes - facts.looped + facts.looped * max(iterations, 1)
    if count > limits.operation_limit:
        raise messages.too_many_operations(file, count, limits.operation_limit)


@dataclass
class _Walk:
    """One pass over the bytes; every occurrence of a field counts, because protobuf merges repeated
    messages."""

    data: bytes
    file: str
    node_limit: int
    nodes: int = 0
    looped: int = 0
    opset: int | None = None
    graphs: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    spans: dict[str, str] = field(default_factory=dict)

    def read_model(self) -> None:
        for item in read_fields(self.data, Slice(0, len(self.data))):
            if item.kind != BYTES:
                continue
            if item.number == MODEL_GRAPH:
                self.graphs += 1
                self.read_graph(item.body, 0)
            elif item.number == MODEL_OPSET:
                self.read_opset(item.body)
            elif item.number == MODEL_METADATA:
                self.metadata.update([self.read_entry(item.body)])
            elif item.number == MODEL_FUNCTIONS:
                raise messages.local_functions(self.file, "a function of its own")
            elif item.number == MODEL_TRAINING:
                raise messages.local_functions(self.file, "a training graph")
        if not self.graphs:
            raise WireError("there is no graph", len(self.data))

    def found_opset(self) -> int:
        if self.opset is None:
            raise messages.wrong_opset(self.file, "not stated", LOWEST_OPSET, HIGHEST_OPSET)
        return self.opset

    def read_opset(self, body: Slice) -> None:
        domain, version = "", 0
        for item in read_fields(self.data, body):
            if item.number == OPSET_DOMAIN and item.kind == BYTES:
                domain = self.read_domain(item, "an imported operator set")
            elif item.number == OPSET_VERSION:
                version = item.value
        if domain in STANDARD_DOMAINS and not LOWEST_OPSET <= version <= HIGHEST_OPSET:
            raise messages.wrong_opset(self.file, version, LOWEST_OPSET, HIGHEST_OPSET)
        self.opset = version

    def read_domain(self, item: WireField, where: str) -> str:
        domain = read_text(self.data, item.body)
        if domain not in STANDARD_DOMAINS:
            raise messages.foreign_domain(self.file, domain, where)
        return domain

    def read_entry(self, body: Slice) -> tuple[str, str]:
        """A StringStringEntryProto: key (1) and value (2)."""
        texts = {item.number: item.body for item in read_fields(self.data, body) if item.kind == BYTES}
        nothing = Slice(0, 0)
        return read_text(self.data, texts.get(1, nothing)), read_text(self.data, texts.get(2, nothing))

    def read_graph(self, body: Slice, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise WireError(f"graphs are nested deeper than {DEPTH_LIMIT}", body.start)
        for item in read_fields(self.data, body):
            if item.kind != BYTES:
                continue
            if item.number == GRAPH_NODE:
                self.read_node(item.body, depth)
            elif item.number == GRAPH_INITIALIZER:
                self.read_tensor(item.body)
            elif item.number == GRAPH_SPARSE:
                self.read_sparse(item.body)

    def read_node(self, body: Slice, depth: int) -> None:
        self.nodes += 1
        self.looped += depth > 0
        if self.nodes > self.node_limit:
            raise messages.too_many_nodes(self.file, self.nodes, self.node_limit)
        name = span = ""
        for item in read_fields(self.data, body):
            if item.kind != BYTES:
                continue
            if item.number == NODE_NAME:
                name = read_text(self.data, item.body)
            elif item.number == NODE_DOMAIN:
                self.read_domain(item, f"the node {name!r}" if name else "a node")
            elif item.number == NODE_ATTRIBUTE:
                self.read_attribute(item.body, depth)
            elif item.number == NODE_METADATA:
                key, value = self.read_entry(item.body)
                span = value if key == SPAN_KEY else span
        if span and name:
            self.spans[name] = span

    def read_attribute(self, body: Slice, depth: int) -> None:
        for item in read_fields(self.data, body):
            if item.kind != BYTES:
                continue
            if item.number in ATTRIBUTE_GRAPHS:
                self.read_graph(item.body, depth + 1)
            elif item.number in ATTRIBUTE_TENSORS:
                self.read_tensor(item.body)
            elif item.number in ATTRIBUTE_SPARSE:
                self.read_sparse(item.body)

    def read_sparse(self, body: Slice) -> None:
        for item in read_fields(self.data, body):
            if item.number in SPARSE_TENSORS and item.kind == BYTES:
                self.read_tensor(item.body)

    def read_tensor(self, body: Slice) -> None:
        name, outside = "", False
        for item in read_fields(self.data, body):
            if item.number == TENSOR_NAME and item.kind == BYTES:
                name = read_text(self.data, item.body)
            # Any number but 0: the parser keeps the lower bits of an oversized one only.
            outside |= item.number == TENSOR_EXTERNAL or (item.number == TENSOR_LOCATION and item.value != 0)
        if outside:
            raise messages.external_data(self.file, name)
