"""The colours of figures and diagrams, without a plotting library."""

from azr_mini.tasks import TaskType

# Okabe and Ito's palette, which readers with any kind of colour vision can tell apart.
COLOURS = {
    TaskType.DEDUCTION: "#0072B2",
    TaskType.ABDUCTION: "#D55E00",
    TaskType.INDUCTION: "#009E73",
}
OTHER_COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#7F7F7F", "#333333")
