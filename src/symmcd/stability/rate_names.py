"""Names of the rates of sun.csv, which `symmcd.report.explain` puts into words."""

RATES = ("initially_stable", "relaxed_stable", "stable_unique", "stable_novel", "sun")
MORE_RATES = ("sun_valid", "sun_undoubted", "sun_elsewhere_new")  # where the stage knows enough
