"""One result row a group: counts and aggregates by category or year, with and without HAVING."""

from tune.data.text_to_sql.patterns.pattern import Pattern

GROUPING = (
    Pattern(
        name="group_count",
        level="medium",
        sql="SELECT {cat}, COUNT(*) FROM {t} GROUP BY {cat}",
        phrasings=(
            "Show each {cat} with its number of {many}.",
            "How many {many} are there for each {cat}? Return {cat} and count.",
            "For every {cat}, give the {cat} and the number of {many}.",
            "List the {cats} and how many {many} each has.",
            "Count the {many} by {cat}, showing the {cat} and the count.",
        ),
    ),
    Pattern(
        name="group_average",
        level="medium",
        sql="SELECT {cat}, AVG({num}) FROM {t} GROUP BY {cat}",
        phrasings=(
            "Show each {cat} with the average {num} of its {many}.",
            "What is the mean {num} of {many} for each {cat}? Return {cat} and mean.",
            "For every {cat}, give the {cat} and the average {num} of the {many}.",
            "List the {cats} and the average {num} of {many} for each.",
            "Average the {num} of {many} by {cat}, showing the {cat} and the average.",
        ),
    ),
    Pattern(
        name="group_highest",
        level="medium",
        sql="SELECT {cat}, MAX({num}) FROM {t} GROUP BY {cat}",
        phrasings=(
            "Show each {cat} with the {most} {num} of its {many}.",
            "What is the {most} {num} of {many} for each {cat}? Return {cat} and {num}.",
            "For every {cat}, give the {cat} and the {most} {num} of the {many}.",
            "List the {cats} and the {most} {num} any {one} has in each.",
            "By {cat}, find the maximum {num} of {many}, showing the {cat} and that {num}.",
        ),
    ),
    Pattern(
        name="group_total",
        level="medium",
        sql="SELECT {cat}, SUM({adds}) FROM {t} GROUP BY {cat}",
        phrasings=(
            "Show each {cat} with the total {num} of its {many}.",
            "What is the sum of {nums} of {many} for each {cat}? Return {cat} and sum.",
            "For every {cat}, give the {cat} and the total {num} of the {many}.",
            "List the {cats} and the combined {num} of {many} for each.",
            "Add up the {nums} of {many} by {cat}, showing the {cat} and the total.",
        ),
    ),
    Pattern(
        name="group_count_above",
        level="medium",
        sql="SELECT {cat}, COUNT(*) FROM {t}[ WHERE {num} > {num_v}] GROUP BY {cat}",
        phrasings=(
            "Counting only {many} with {a_num} above {num_v}, show each {cat} and its count.",
            "For {many} whose {num} is over {num_v}, give each {cat} and the number of {many}.",
            "Grouped by {cat}, how many {many} have {a_num} greater than {num_v}? Return {cat} and count.",
            "Among {many} with {a_num} of more than {num_v}, list each {cat} and how many there are.",
            "Take the {many} whose {num} exceeds {num_v} and count them by {cat}, showing {cat} and count.",
        ),
    ),
    Pattern(
        name="having_count",
        level="medium",
        sql="SELECT {cat} FROM {t} GROUP BY {cat}[ HAVING COUNT(*) > {n}]",
        phrasings=(
            "Which {cats} have more than {n} {many}?",
            "List the {cats} that more than {n} {many} have.",
            "Show each {cat} shared by more than {n} {many}.",
            "Give the {cats} with over {n} {many}.",
            "Find every {cat} for which there are more than {n} {many}.",
        ),
    ),
    Pattern(
        name="having_average",
        level="medium",
        sql="SELECT {cat} FROM {t} GROUP BY {cat}[ HAVING AVG({num}) > {num_v}]",
        phrasings=(
            "Which {cats} have an average {one} {num} above {num_v}?",
            "List the {cats} where the mean {num} of the {many} is over {num_v}.",
            "Show each {cat} whose {many} have an average {num} greater than {num_v}.",
            "Give the {cats} of {many} with a mean {num} of more than {num_v}.",
            "For which {cats} does the average {num} of the {many} exceed {num_v}?",
        ),
    ),
    Pattern(
        name="commonest",
        level="medium",
        sql="SELECT {cat} FROM {t} GROUP BY {cat}[ ORDER BY COUNT(*) DESC][ LIMIT 1]",
        phrasings=(
            "Which {cat} has the most {many}?",
            "What is the most common {cat} of the {many}?",
            "Show the {cat} that occurs most often among the {many}.",
            "Give the {cat} with the largest number of {many}.",
            "Find the most frequent {cat} in {t}.",
        ),
    ),
    Pattern(
        name="per_year",
        level="medium",
        sql="SELECT strftime('%Y', {day}), COUNT(*) FROM {t} GROUP BY strftime('%Y', {day})",
        phrasings=(
            "How many {many} were {day} in each year? Return year and count.",
            "Show each year with the number of {many} {day} in it.",
            "For every year, give the year and how many {many} were {day}.",
            "List the years and the number of {many} {day} in each.",
            "Count the {many} by the year they were {day}, showing year and count.",
        ),
    ),
)
