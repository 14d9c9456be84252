"""Every message of the runtime: one function each, whose docstring is the long form.

`CATALOGUE` maps a code to its function; `isocline explain E7xx` prints the docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from isocline_runtime import messages_artifact as artifact
from isocline_runtime import messages_input as given
from isocline_runtime import messages_native as native
from isocline_runtime import messages_run as run
from isocline_runtime import messages_stream as stream
from isocline_runtime import messages_table as table
from isocline_runtime.errors import RuntimeFault

CATALOGUE: Mapping[str, Callable[..., RuntimeFault]] = MappingProxyType(
    {
        "E701": artifact.nothing_there,
        "E702": artifact.not_json,
        "E703": artifact.wrong_field,
        "E704": artifact.unknown_format,
        "E705": artifact.unsafe_file,
        "E706": artifact.missing_file,
        "E707": artifact.unlisted_file,
        "E708": artifact.altered_file,
        "E709": artifact.oversize,
        "E710": artifact.malformed_model,
        "E711": artifact.external_data,
        "E712": artifact.foreign_domain,
        "E713": artifact.local_functions,
        "E714": artifact.wrong_opset,
        "E715": artifact.too_many_nodes,
        "E716": artifact.other_signature,
        "E717": artifact.refused_model,
        "E718": artifact.unreadable,
        "E719": artifact.too_many_operations,
        "E720": artifact.unsigned,
        "E721": artifact.wrong_signature,
        "E722": artifact.no_key,
        "E723": artifact.unknown_generator,
        "E730": given.missing_input,
        "E731": given.unknown_input,
        "E732": given.wrong_dtype,
        "E733": given.wrong_shape,
        "E734": given.sizes_disagree,
        "E735": given.not_finite,
        "E736": given.out_of_bounds,
        "E737": given.out_of_classes,
        "E738": given.not_an_array,
        "E739": given.mixed_batch,
        "E740": given.wrong_index,
        "E741": given.not_named,
        "E742": given.narrowed,
        "E743": given.no_noise,
        "E744": given.wrong_seed,
        "E745": given.wrong_rows,
        "E746": given.unknown_noise,
        "E747": given.wrong_noise,
        "E748": given.noise_as_input,
        "E749": given.open_size,
        "E750": table.unknown_type,
        "E751": table.unreadable_table,
        "E752": table.missing_column,
        "E753": table.ragged_row,
        "E754": table.not_a_number,
        "E755": table.missing_value,
        "E756": table.wrong_layout,
        "E757": table.no_rows,
        "E758": table.rows_differ,
        "E759": table.repeated_column,
        "E760": native.no_native,
        "E761": native.no_compiler,
        "E762": native.not_built,
        "E763": native.answers_differ,
        "E764": native.unknown_engine,
        "E765": native.only_on_cpu,
        "E766": native.unknown_package,
        "E767": native.folder_not_ours,
        "E768": native.not_written,
        "E769": native.no_cross_compiler,
        "E770": run.no_onnxruntime,
        "E771": run.unknown_provider,
        "E772": run.provider_fell_back,
        "E773": run.no_pyarrow,
        "E774": run.no_cryptography,
        "E780": run.stopped,
        "E781": run.output_not_finite,
        "E782": run.no_attribution,
        "E783": run.out_of_time,
        "E784": run.out_of_memory,
        "E785": run.no_certificate,
        "E790": stream.no_stream,
        "E791": stream.past_the_end,
        "E792": stream.not_a_state,
        "E793": stream.other_batch,
    }
)
