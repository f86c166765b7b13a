"""The colours that tell models apart, in our pictures and on MLflow's page."""

# Okabe & Ito, "Color Universal Design" (2008): told apart with every kind of colour blindness
BLUE = "#0072B2"
VERMILION = "#D55E00"
SERIES = [BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION, "#000000", "#B8A800"]
