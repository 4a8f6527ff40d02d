"""Inserting, updating and deleting rows of one table."""

from tune.data.text_to_sql.patterns.pattern import Pattern

WRITING = (
    Pattern(
        name="insert",
        level="medium",
        sql="INSERT INTO {t} ({label}, {cat}, {num}) VALUES ('{new_label}', '{cat_v}', {num_v})",
        phrasings=(
            "Add {a_one} with {label} {new_label}, {cat} {cat_v} and {num} {num_v}.",
            "Insert a new {one}: {label} {new_label}, {cat} {cat_v}, {num} {num_v}.",
            "Store a new {one} called {new_label} with the {cat} {cat_v} and {a_num} of {num_v}.",
            "Put the {one} {new_label} into {t}, with {cat} {cat_v} and {num} {num_v}.",
            "Create {a_one} entry: {new_label} is the {label}, {cat_v} the {cat}, {num_v} the {num}.",
        ),
    ),
    Pattern(
        name="insert_dated",
        level="medium",
        sql="INSERT INTO {t} ({label}, {day}) VALUES ('{new_label}', '{day_v}')",
        phrasings=(
            "Add the {one} {new_label}, {day} on {day_v}.",
            "Insert {a_one} with {label} {new_label} that was {day} on {day_v}.",
            "Record a new {one}: {new_label}, {day} {day_v}.",
            "Store that the new {one} {new_label} was {day} on {day_v}.",
            "On {day_v} a new {one} was {day}: enter the {label} {new_label} and that date.",
        ),
    ),
    Pattern(
        name="update_number",
        level="medium",
        sql="UPDATE {t} SET {num} = {num_v}[ WHERE {label} = '{label_v}']",
        phrasings=(
            "Set the {num} of the {one} {label_v} to {num_v}.",
            "Change the {num} of {label_v} to {num_v}.",
            "Update the {one} {label_v} so that the {num} is {num_v}.",
            "The {num} of the {one} {label_v} should become {num_v}.",
            "Give the {one} {label_v} a new {num} of {num_v}.",
        ),
    ),
    Pattern(
        name="update_category",
        level="medium",
        sql="UPDATE {t} SET {cat} = '{cat_v2}'[ WHERE {cat} = '{cat_v}']",
        phrasings=(
            "Change the {cat} of all {many} from {cat_v} to {cat_v2}.",
            "Replace the {cat} {cat_v} by {cat_v2} for every {one} that has it.",
            "Set the {cat} to {cat_v2} for the {many} whose {cat} is {cat_v}.",
            "Every {one} with {cat} {cat_v} should now have the {cat} {cat_v2}.",
            "Update the {many}: wherever the {cat} is {cat_v}, make it {cat_v2}.",
        ),
    ),
    Pattern(
        name="raise_category",
        level="medium",
        sql="UPDATE {t} SET {adds} = {adds} + {step}[ WHERE {cat} = '{cat_v}']",
        phrasings=(
            "Raise the {num} of every {one} with {cat} {cat_v} by {step}.",
            "Add {step} to the {num} of all {many} whose {cat} is {cat_v}.",
            "Increase the {nums} of {many} with the {cat} {cat_v} by {step} each.",
            "For {many} with {cat} {cat_v}, the {num} goes up by {step}.",
            "Make the {num} of each {one} whose {cat} is {cat_v} larger by {step}.",
        ),
    ),
    Pattern(
        name="fill_missing",
        level="medium",
        sql="UPDATE {t} SET {blank} = '{blank_v}'[ WHERE {blank} IS NULL]",
        phrasings=(
            "Set the {blank} to {blank_v} for all {many} without one.",
            "Fill in {blank_v} as {blank} wherever {a_one} has none.",
            "Give every {one} whose {blank} is missing the {blank} {blank_v}.",
            "Where no {blank} is known, make {blank_v} the {blank} of the {one}.",
            "Update the {many} that lack {a_blank} to have {blank_v} as their {blank}.",
        ),
    ),
    Pattern(
        name="delete_category",
        level="medium",
        sql="DELETE FROM {t}[ WHERE {cat} = '{cat_v}']",
        phrasings=(
            "Delete all {many} whose {cat} is {cat_v}.",
            "Remove the {many} with {cat} {cat_v}.",
            "Drop every {one} with the {cat} {cat_v} from {t}.",
            "Take out each {one} where the {cat} is {cat_v}.",
            "Erase the {many} that have {cat_v} as {cat}.",
        ),
    ),
    Pattern(
        name="delete_below",
        level="medium",
        sql="DELETE FROM {t}[ WHERE {num} < {num_v}]",
        phrasings=(
            "Delete all {many} with {a_num} below {num_v}.",
            "Remove the {many} whose {num} is under {num_v}.",
            "Take out every {one} with {a_num} less than {num_v}.",
            "Erase the {many} where the {num} is smaller than {num_v}.",
            "Get rid of each {one} whose {num} is lower than {num_v}.",
        ),
    ),
    Pattern(
        name="delete_before",
        level="medium",
        sql="DELETE FROM {t}[ WHERE {day} < '{day_v}']",
        phrasings=(
            "Delete all {many} {day} before {day_v}.",
            "Remove the {many} that were {day} earlier than {day_v}.",
            "Take out every {one} {day} before {day_v}.",
            "Erase the {many} that had been {day} before {day_v}.",
            "All rows {day} before {day_v} should be removed from {t}.",
        ),
    ),
)
