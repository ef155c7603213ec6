"""The flags of what the answers are learned from: the labels, and a teacher."""

from tfgates.settings.flag import Flag
from tfgates.settings.network import TEACHERS, is_teacher

LABELS = (
    Flag(
        "label_smoothing",
        "float",
        0.0,
        "Share of each label that is spread over all classes; 0: none.",
        valid=lambda value: 0 <= value < 1,
        rule="is a share in [0, 1), as 0.1",
    ),
    Flag(
        "teacher",
        "string",
        "",
        f"A network whose answers are learned beside the labels: {TEACHERS}; empty: none.",
        valid=is_teacher,
        rule=f"is {TEACHERS}, or empty",
    ),
    Flag(
        "teacher_weight",
        "float",
        0.5,
        "Weight of the teacher beside the labels, in (0, 1].",
        valid=lambda value: 0 < value <= 1,
        rule="is in (0, 1], as 0.5",
    ),
    Flag(
        "teacher_temperature",
        "float",
        4.0,
        "Temperature of the answers of teacher and student.",
        valid=lambda value: 1e-3 <= value <= 1e3,
        rule="is from 0.001 to 1000, as 4",
    ),
)
