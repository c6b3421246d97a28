"""The reference pages that follow from the code: commands, environment, conditions and events, values of the chart."""
