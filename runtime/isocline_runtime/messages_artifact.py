"""Messages about artifacts, manifests and models (E701 to E723)."""

from __future__ import annotations

from isocline_runtime.errors import ArtifactError

REBUILD = "build the artifact again with `isocline compile`, or copy all of its files again"


def nothing_there(path: object, nearest: str | None = None) -> ArtifactError:
    """There is no such artifact.

    An artifact is the folder that `isocline compile` writes (it holds `manifest.json` and `model.onnx`), or a
    single `.onnx` file. A folder without a manifest is not one: the manifest is written last, so a build that
    was stopped leaves none.
    """
    hint = nearest or "give the folder that `isocline compile` wrote, or an `.onnx` file"
    return ArtifactError("E701", f"there is no artifact at {path}", hint)


def not_json(file: object, reason: str) -> ArtifactError:
    """The file is not JSON as this format allows it.

    The manifest and the certificate are UTF-8 JSON objects without repeated keys, NaN or infinities.
    """
    return ArtifactError("E702", f"{file} is not a JSON object: {reason}", REBUILD)


def wrong_field(file: object, field: str, found: str, expected: str) -> ArtifactError:
    """A field of the manifest is missing, unknown, or of the wrong kind.

    The path names the place: `inputs[0].shape[1]` is the second size of the first input. The fields are those
    of `isocline_runtime.manifest.Manifest`.
    """
    return ArtifactError("E703", f"{file}: `{field}` is {found}, expected {expected}", REBUILD)


def unknown_format(file: object, found: object, supported: int) -> ArtifactError:
    """The manifest was written in a version of the format that this runtime does not read.

    `format_version` grows when a field changes its meaning. A newer artifact needs a newer `isocline`.
    """
    message = f"{file}: format_version is {found}, this runtime reads {supported}"
    return ArtifactError("E704", message, "install the version of isocline that wrote it, or compile it again")


def unsafe_file(folder: object, name: str, reason: str) -> ArtifactError:
    """A name in the manifest leads out of the artifact, or names something that is not a plain file.

    Files of an artifact lie flat in its folder. A path with a separator, `..`, a symbolic link, a device or a
    folder is refused before anything is opened: an artifact may come from somebody else.
    """
    return ArtifactError("E705", f"{folder}: the file name {name!r} is refused: {reason}", REBUILD)


def missing_file(folder: object, name: str) -> ArtifactError:
    """A file that the manifest lists is not in the folder.

    The artifact was copied in part, or a file was deleted.
    """
    return ArtifactError("E706", f"{folder}: {name} is in the manifest, but not in the folder", REBUILD)


def unlisted_file(folder: object, name: str) -> ArtifactError:
    """The folder holds a file that the manifest does not list.

    An artifact is sealed: what is in it is listed with its sha256, so that nothing can be slipped in. Files
    whose name starts with a dot are not looked at.
    """
    hint = "move it out of the artifact's folder"
    return ArtifactError("E707", f"{folder}: {name} is in the folder, but not in the manifest", hint)


def altered_file(folder: object, name: str, what: str, found: object, expected: object) -> ArtifactError:
    """A file is not the one that was compiled: its size or its sha256 differs from the manifest.

    It was edited, damaged, or comes from another build. The certificate speaks of the file that was compiled,
    so a changed one is not run.
    """
    message = f"{folder}: {name} was altered: its {what} is {found}, the manifest says {expected}"
    return ArtifactError("E708", message, REBUILD)


def oversize(file: object, size: int, limit: int) -> ArtifactError:
    """A file is larger than the limit, 512 MiB unless another is given.

    The limit protects a service from a file that fills its memory; `load(path, limit=...)` raises it, in
    bytes.
    """
    message = f"{file} has {size} bytes, the limit is {limit}"
    return ArtifactError("E709", message, "if you trust the file, raise the limit: `load(path, limit=bytes)`")


def malformed_model(file: object, offset: int, reason: str) -> ArtifactError:
    """The bytes are not an ONNX model.

    The file was read field by field (ONNX is a protobuf message) and stopped making sense at the offset
    given.
    """
    return ArtifactError("E710", f"{file} is not an ONNX model: {reason} at byte {offset}", REBUILD)


def external_data(file: object, tensor: str) -> ArtifactError:
    """The model keeps weights in another file.

    ONNX allows a tensor to name any path, also outside the folder; this has been used to read other files.
    An artifact holds its weights in `model.onnx`.
    """
    hint = "save the model in one piece: `onnx.save(model, path, save_as_external_data=False)`"
    return ArtifactError("E711", f"{file}: the tensor {tensor!r} is stored in another file", hint)


def foreign_domain(file: object, domain: str, where: str) -> ArtifactError:
    """The model uses operators that are not of the ONNX standard.

    Only the domain `ai.onnx` (also written as the empty name) is accepted: other operators bind the model to
    one runtime, and may be code of somebody else. Models that onnxruntime optimised contain such operators.
    """
    hint = "export with standard operators only; load the model as it was before onnxruntime optimised it"
    return ArtifactError("E712", f"{file}: {where} is of the domain {domain!r}, only ai.onnx is accepted", hint)


def local_functions(file: object, what: str) -> ArtifactError:
    """The model defines functions of its own, or training graphs.

    Several runtimes cannot run model-local functions, and a function may hide what an operator's name means.
    """
    return ArtifactError(
        "E713", f"{file} defines {what}", "inline functions first: `onnx.inliner.inline_local_functions`"
    )


def wrong_opset(file: object, found: object, low: int, high: int) -> ArtifactError:
    """The model was written for another version of the ONNX operator set.

    Operators change their meaning between versions. 18 to 21 are the versions that every runtime we test
    agrees on; newer ones move single operators to the CPU without a word.
    """
    message = f"{file}: the operator set is {found}, expected {low} to {high}"
    return ArtifactError("E714", message, "convert it: `onnx.version_converter.convert_version(model, 21)`")


def too_many_nodes(file: object, count: int, limit: int) -> ArtifactError:
    """The model has more nodes, or deeper nested graphs, than the limit.

    Loading a graph of millions of nodes takes minutes and gigabytes. `load(path, node_limit=...)` raises it.
    """
    message = f"{file} has {count} or more nodes, the limit is {limit}"
    return ArtifactError("E715", message, "fewer steps, or `load(path, node_limit=...)` if you trust the file")


def too_many_operations(file: object, count: int, limit: int) -> ArtifactError:
    """One run of the model would take more operations than the limit.

    The body of a loop counts once for each step that the manifest states. `load(path, operation_limit=...)` raises the
    limit.
    """
    message = f"{file} takes {count} operations a run, the limit is {limit}"
    return ArtifactError("E719", message, "fewer steps, or `load(path, operation_limit=...)` if you trust the file")


def unsigned(folder: object, name: str) -> ArtifactError:
    """A signature was asked for, and the artifact has none.

    `load(path, trust=KEY)` runs what the owner of the key has signed and nothing else. `isocline compile --sign KEY`
    signs; a single `.onnx` file cannot be signed.
    """
    return ArtifactError("E720", f"{folder} is not signed: it has no {name}", "build it with `--sign KEY`")


def wrong_signature(folder: object, reason: str) -> ArtifactError:
    """The signature of the artifact is not that of the key that is trusted, or the manifest was altered after it."""
    return ArtifactError("E721", f"{folder}: {reason}", "get it again from its author, or ask which key is theirs")


def no_key(key: object, reason: str) -> ArtifactError:
    """What was given is no ed25519 key.

    `openssl genpkey -algorithm ed25519 -out key.pem` makes a private key, without a password, and
    `openssl pkey -in key.pem -pubout -out key.pub` its public one. A public key may also be given as 64 hexadecimal
    digits.
    """
    shown = str(key) if len(str(key)) < 80 else str(key)[:77] + "..."
    hint = "`openssl genpkey -algorithm ed25519` makes one"
    return ArtifactError("E722", f"{shown} is no ed25519 key: {reason}", hint)


def unknown_generator(file: object, field: str, found: str, supported: str) -> ArtifactError:
    """The noise of the model is of a generator that this runtime does not have.

    A seed stands for certain numbers, which docs/noise.md specifies under a name and a version. Others would give other
    answers, so they are not drawn instead.
    """
    message = f"{file}: the generator of `{field}` is {found}; this runtime has {supported}"
    return ArtifactError("E723", message, "install the version of isocline that wrote it, or compile it again")


def other_signature(file: object, port: str, found: str, expected: str) -> ArtifactError:
    """The manifest describes another model than the one beside it.

    The names, kinds and shapes of inputs and outputs are compared with those that onnxruntime reports.
    """
    return ArtifactError("E716", f"{file}: {port} is {found} in the model, {expected} in the manifest", REBUILD)


def refused_model(file: object, reason: str) -> ArtifactError:
    """onnxruntime did not accept the model.

    The file is an ONNX model, but it is not valid, or it needs an operator that this provider lacks.
    """
    return ArtifactError("E717", f"onnxruntime refuses {file}: {reason}", "`isocline doctor` lists what is installed")


def unreadable(path: object, reason: str) -> ArtifactError:
    """The system did not let the file be read or written: permissions, a full disk, a lost drive."""
    return ArtifactError("E718", f"cannot open {path}: {reason}")
