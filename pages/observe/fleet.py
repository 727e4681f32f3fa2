"""Fleet: which managers are there, and what does each carry?"""

from athena_tuning.service import fleet_rows
from athena_tuning.service.view import View
from athena_tuning.ui.fleet import fleet_tables
from athena_tuning.ui.frame import components, page_context

page = page_context.current()


def body(_: View) -> None:
    rows = fleet_tables.rows_of(page)
    components.statement(fleet_rows.say_of_fleet(rows))
    with components.card("fleet-managers", "Managers"):
        fleet_tables.draw(page, rows)


page.live(body)
