"""Joins of two tables and queries inside queries."""

from tune.data.text_to_sql.patterns.pattern import Pattern

JOINED = "FROM {t} {a} JOIN {p_t} {b} ON {a}.{key} = {b}.id"

HARD = (
    Pattern(
        name="join_list",
        level="hard",
        sql="SELECT {a}.{label}, {b}.{p_label} " + JOINED + "[ WHERE {a}.{cat} = '{cat_v}']",
        phrasings=(
            "For {many} with {cat} {cat_v}, list the {one} {label} and the {p_one} {p_label}.",
            "Show the {label} of each {one} whose {cat} is {cat_v}, and the {p_label} of the {p_one}.",
            "Give the {one} {label} next to the {p_one} {p_label} for all {many} with the {cat} {cat_v}.",
            "Which {many} have the {cat} {cat_v}? Return the {one} {label} and the {p_one} {p_label}.",
            "Pair the {label} of every {one} having {cat} {cat_v} with the {p_label} of the {p_one}.",
        ),
    ),
    Pattern(
        name="join_of_second",
        level="hard",
        sql="SELECT {a}.{label} " + JOINED + "[ WHERE {b}.{p_label} = '{p_label_v}']",
        phrasings=(
            "List the {labels} of the {many} {link} the {p_one} {p_label_v}.",
            "What are the {labels} of all {many} {link} the {p_one} with the {p_label} {p_label_v}?",
            "Show the {label} of every {one} {link} the {p_one} {p_label_v}.",
            "Give the {labels} of {many} {link} the {p_one} called {p_label_v}.",
            "Find all {many} {link} the {p_one} {p_label_v} and return the {labels}.",
        ),
    ),
    Pattern(
        name="join_of_kind",
        level="hard",
        sql="SELECT {a}.{label} " + JOINED + "[ WHERE {b}.{p_cat} = '{p_cat_v}']",
        phrasings=(
            "List the {labels} of the {many} {link} {p_many} whose {p_cat} is {p_cat_v}.",
            "What are the {labels} of {many} {link} {p_many} with the {p_cat} {p_cat_v}?",
            "Show the {label} of every {one} {link} {p_a_one} with {p_cat} {p_cat_v}.",
            "Give the {labels} of {many} where the {p_cat} of the {p_one} is {p_cat_v}.",
            "Find all {many} {link} {p_many} that have the {p_cat} {p_cat_v} and return the {labels}.",
        ),
    ),
    Pattern(
        name="join_count",
        level="hard",
        sql="SELECT COUNT(*) " + JOINED + "[ WHERE {b}.{p_cat} = '{p_cat_v}']",
        phrasings=(
            "How many {many} are {link} {p_many} with {p_cat} {p_cat_v}?",
            "Count the {many} {link} {p_many} whose {p_cat} is {p_cat_v}.",
            "What is the number of {many} {link} {p_many} where the {p_cat} is {p_cat_v}?",
            "Give the number of {many} {link} {p_a_one} whose {p_cat} is {p_cat_v}.",
            "For how many {many} is {p_cat_v} the {p_cat} of the {p_one}?",
        ),
    ),
    Pattern(
        name="join_back",
        level="hard",
        sql="SELECT {b}.{p_label} " + JOINED + "[ WHERE {a}.{label} = '{label_v}']",
        phrasings=(
            "What is the {p_label} of the {p_one} of the {one} {label_v}?",
            "Give the {p_one} {p_label} for the {one} {label_v}.",
            "To which {p_one} does the {one} {label_v} belong? Return the {p_label}.",
            "For the {one} {label_v}, show the {p_label} of the {p_one}.",
            "Look up the {one} {label_v} and return the {p_label} of the {p_one}.",
        ),
    ),
    Pattern(
        name="join_distinct",
        level="hard",
        sql="SELECT[ DISTINCT] {b}.{p_label} " + JOINED + "[ WHERE {a}.{num} > {num_v}]",
        phrasings=(
            "Which {p_many} have any {one} with {a_num} above {num_v}? List each {p_label} once.",
            "Without repeats, list the {p_labels} of {p_many} that have {a_one} with {a_num} over {num_v}.",
            "Give the distinct {p_labels} of the {p_many} of {many} whose {num} is greater than {num_v}.",
            "Show once the {p_label} of each {p_one} with some {one} whose {num} is above {num_v}.",
            "List the different {p_labels} of {p_many} with at least one {one} whose {num} exceeds {num_v}.",
        ),
    ),
    Pattern(
        name="join_group_count",
        level="hard",
        sql="SELECT {b}.{p_label}, COUNT(*) " + JOINED + " GROUP BY {b}.{p_label}",
        phrasings=(
            "For each {p_one} with any {many}, show the {p_label} and the number of {many}.",
            "How many {many} are {link} each {p_one}? Return {p_label} and count, leaving out zero counts.",
            "Show the {p_label} of every {p_one} that has {many}, with the number of {many}.",
            "List each {p_one} {p_label} and its number of {many}, but no {p_one} without {many}.",
            "Count the {many} by {p_one}: return the {p_label} and the count where there is at least one.",
        ),
    ),
    Pattern(
        name="join_group_average",
        level="hard",
        sql="SELECT {b}.{p_cat}, AVG({a}.{num}) " + JOINED + " GROUP BY {b}.{p_cat}",
        phrasings=(
            "Show each {p_one} {p_cat} with the average {num} of the {many}.",
            "For every {p_cat} of a {p_one}, give the {p_cat} and the average {num} of the {many}.",
            "What is the mean {num} of {many} for each {p_one} {p_cat}? Return {p_cat} and mean.",
            "Group the {many} by the {p_cat} of the {p_one}; show the {p_cat} and the average {num}.",
            "List every {p_one} {p_cat} and the mean {num} of its {many}.",
        ),
    ),
    Pattern(
        name="join_having",
        level="hard",
        sql="SELECT {b}.{p_label} " + JOINED + " GROUP BY {b}.{p_label}[ HAVING COUNT(*) > {n}]",
        phrasings=(
            "Which {p_many} have more than {n} {many}? Give the {p_labels}.",
            "List the {p_labels} of {p_many} with more than {n} {many}.",
            "Show the {p_label} of every {p_one} that has over {n} {many}.",
            "Give the {p_labels} of the {p_many} to which more than {n} {many} belong.",
            "Find each {p_one} having more than {n} {many} and return the {p_label}.",
        ),
    ),
    Pattern(
        name="join_top",
        level="hard",
        sql="SELECT {b}.{p_label} " + JOINED + "[ ORDER BY {a}.{num} DESC][ LIMIT 1]",
        phrasings=(
            "What is the {p_label} of the {p_one} of the {one} with the {most} {num}?",
            "Which {p_one} has the {one} with the {most} {num}? Give the {p_label}.",
            "Find the {one} with the {most} {num} and return the {p_label} of the {p_one}.",
            "Show the {p_one} {p_label} for the {one} that has the {most} {num}.",
            "Give the {p_label} of the {p_one} to which the {one} with the {most} {num} belongs.",
        ),
    ),
    Pattern(
        name="above_average",
        level="hard",
        sql="SELECT {label} FROM {t} WHERE {num} > (SELECT AVG({num}) FROM {t}[ WHERE {cat} = '{cat_v}'])",
        phrasings=(
            "List the {labels} of {many} whose {num} is above the average {num} of {many} with {cat} {cat_v}.",
            "Which {one} {labels} have {a_num} over the mean {num} for the {cat} {cat_v}?",
            "Show the {label} of every {one} with {a_num} greater than the average for {cat} {cat_v}.",
            "Compared with the average {num} for {cat} {cat_v}, which {many} have {a_num} above it? Give the {labels}.",
            "Find the {labels} of all {many} whose {num} exceeds the mean of the {many} with {cat} {cat_v}.",
        ),
    ),
    Pattern(
        name="below_average",
        level="hard",
        sql="SELECT {label} FROM {t}[ WHERE {num} < (SELECT AVG({num}) FROM {t})]",
        phrasings=(
            "List the {labels} of {many} whose {num} is below the average.",
            "Which {one} {labels} have {a_num} under the average {num} of all {many}?",
            "Show the {label} of every {one} with {a_num} less than the mean.",
            "Give the {labels} of {many} with below-average {nums}.",
            "Find the {labels} of all {many} whose {num} is lower than the overall average {num}.",
        ),
    ),
    Pattern(
        name="same_category",
        level="hard",
        sql="SELECT {label} FROM {t} WHERE {cat} = (SELECT {cat} FROM {t} WHERE {label} = '{label_v}')"
        "[ AND {label} <> '{label_v}']",
        phrasings=(
            "List the {labels} of the other {many} with the same {cat} as {label_v}.",
            "Which other {many} have the same {cat} as the {one} {label_v}? Give the {labels}.",
            "Show the {label} of every other {one} that shares the {cat} of {label_v}.",
            "Apart from {label_v} itself, give the {labels} of {many} with the {cat} of {label_v}.",
            "Find the {labels} of {many} with the {cat} that {label_v} has, but leave out {label_v}.",
        ),
    ),
    Pattern(
        name="more_than_named",
        level="hard",
        sql="SELECT {label} FROM {t}[ WHERE {num} > (SELECT {num} FROM {t} WHERE {label} = '{label_v}')]",
        phrasings=(
            "List the {labels} of {many} with a greater {num} than {label_v}.",
            "Which {one} {labels} have {a_num} above that of {label_v}?",
            "Show the {label} of every {one} whose {num} is more than the {num} of {label_v}.",
            "Give the {labels} of all {many} that have {a_num} over the {num} of the {one} {label_v}.",
            "Find the {labels} of {many} whose {num} exceeds that of the {one} {label_v}.",
        ),
    ),
    Pattern(
        name="none_above",
        level="hard",
        sql="SELECT {p_label} FROM {p_t} WHERE id NOT IN (SELECT {key} FROM {t}[ WHERE {num} > {num_v}])",
        phrasings=(
            "List the {p_labels} of {p_many} that have no {one} with {a_num} above {num_v}.",
            "Which {p_one} {p_labels} have no {many} whose {num} is over {num_v}?",
            "Show the {p_label} of every {p_one} without any {one} whose {num} is greater than {num_v}.",
            "Give the {p_labels} of all {p_many} with no {many} that have {a_num} of more than {num_v}.",
            "Find the {p_many} that lack any {one} whose {num} exceeds {num_v}; return the {p_labels}.",
        ),
    ),
)
