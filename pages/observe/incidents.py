"""Incidents: what went wrong, in which order, and what was done about it?"""

from athena_tuning.ui.frame import page_context
from athena_tuning.ui.incidents import incident_cards

page = page_context.current()

incidents = incident_cards.listed(page)
if chosen := incident_cards.chosen(incidents):
    incident_cards.one(page, chosen)
