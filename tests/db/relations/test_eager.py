"""Eager loading: how many queries, which rows, which keys; and asking by what is related."""

from __future__ import annotations

from typing import Any

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.model import Model, relation
from so.errors import RelationError
from tests.db.model_tables import count_of, make_table, statements


class Writer(Model):
    timestamps = False

    @relation
    def posts(self) -> Any:
        return self.has_many(Post)

    @relation
    def latest(self) -> Any:
        return self.has_one(Post).order_by_desc("id")

    @relation
    def articles(self) -> Any:
        return self.has_many(Article)


class Post(Model):
    timestamps = False

    @relation
    def writer(self) -> Any:
        return self.belongs_to(Writer)

    @relation
    def comments(self) -> Any:
        return self.has_many(Comment)


class Comment(Model):
    timestamps = False

    @relation
    def post(self) -> Any:
        return self.belongs_to(Post)


class Article(Model):
    timestamps = False
    connection = "articles"


@pytest.fixture
def blog(db: Database) -> Database:
    make_table(db, "writers", "name varchar(20)")
    make_table(db, "posts", "writer_id bigint null", "title varchar(20)", "likes int default 0")
    make_table(db, "comments", "post_id bigint", "body varchar(20)")
    for name in "abc":
        Writer.create(name=name)
    for writer, title, likes in ((1, "p1", 5), (1, "p2", 0), (2, "p3", 7), (None, "p4", 1)):
        Post.create(writer_id=writer, title=title, likes=likes)
    for post, body in ((1, "c1"), (1, "c2"), (3, "c3")):
        Comment.create(post_id=post, body=body)
    return db


def titles(posts: Any) -> list[str]:
    return sorted(post.title for post in posts)


# --- with_


def test_relations_cost_one_query_each(blog: Database) -> None:
    writers: list[Any] = []

    def load() -> None:
        writers.extend(
            Writer.with_("posts.comments", "posts.writer", "latest").order_by("id").get()
        )

    assert count_of(blog, load) == 5
    assert (
        count_of(blog, lambda: [c.body for w in writers for p in w.posts for c in p.comments]) == 0
    )
    assert [titles(w.posts) for w in writers] == [["p1", "p2"], ["p3"], []]
    assert [w.latest and w.latest.title for w in writers] == ["p2", "p3", None]
    assert writers[0].posts[0].writer == writers[0]
    assert [c.body for c in writers[1].posts[0].comments] == ["c3"]


def test_keys_are_asked_for_once(blog: Database) -> None:
    log = statements(blog, lambda: Post.with_("writer").get())

    assert log[1]["bindings"] == [1, 2]
    assert [p.writer and p.writer.name for p in Post.with_("writer").order_by("id").get()] == [
        "a", "a", "b", None,
    ]  # fmt: skip


def test_nothing_to_load_asks_nothing(blog: Database) -> None:
    assert count_of(blog, lambda: Writer.with_("posts").where("id", 0).get()) == 1
    assert count_of(blog, lambda: Post.with_("writer").where("id", 4).get()) == 1
    assert count_of(blog, lambda: Writer.with_("posts.comments").where("id", 3).get()) == 2


def test_an_eager_load_may_be_constrained(blog: Database) -> None:
    by_name = Writer.with_(posts=lambda q: q.where("likes", ">", 1)).find(1)
    by_dict = Writer.with_({"posts": lambda q: q.order_by_desc("title")}).find(1)
    nested = Writer.with_({"posts.comments": lambda q: q.where("body", "c2")}).find(1)

    assert titles(by_name.posts) == ["p1"]
    assert [p.title for p in by_dict.posts] == ["p2", "p1"]
    assert [c.body for p in nested.posts for c in p.comments] == ["c2"]
    assert titles(Writer.with_("posts", posts=lambda q: q.where("likes", 0)).find(1).posts) == [
        "p2"
    ]
    assert titles(
        Writer.with_(posts=lambda q: q.where("likes", 5).or_where("likes", 7)).find(1).posts
    ) == ["p1"]
    within = Writer.with_(posts=lambda q: q.with_("comments")).find(1)
    assert within.posts[0].relation_loaded("comments")


def test_a_limit_in_an_eager_load_is_for_each_parent(blog: Database) -> None:
    for n in range(5):
        Post.create(writer_id=2, title=f"x{n}")

    writers = Writer.with_(posts=lambda q: q.order_by("id").limit(2)).order_by("id").get()

    assert [[p.title for p in w.posts] for w in writers] == [["p1", "p2"], ["p3", "x0"], []]
    assert set(writers[0].posts[0].get_attributes()) == {"id", "writer_id", "title", "likes"}
    shifted = Writer.with_(posts=lambda q: q.order_by("id").limit(1).offset(1)).find(2)
    assert [p.title for p in shifted.posts] == ["x0"]


def test_columns_may_be_chosen_if_the_key_is_among_them(blog: Database) -> None:
    writer = Writer.with_("posts:id,writer_id").find(1)

    assert set(writer.posts[0].get_attributes()) == {"id", "writer_id"}
    with pytest.raises(RelationError, match="selects no 'writer_id'"):
        Writer.with_("posts:id,title").get()


def test_very_many_keys_are_asked_for_in_parts(
    blog: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    grammar = blog.connection().grammar
    monkeypatch.setattr(type(grammar), "max_placeholders", 2)
    writers: list[Any] = []

    def load() -> None:
        writers.extend(Writer.with_("posts.comments").order_by("id").get())

    # Three writers make two parts; three posts as well.
    assert count_of(blog, load) == 5
    assert [titles(w.posts) for w in writers] == [["p1", "p2"], ["p3"], []]
    assert [len(p.comments) for w in writers for p in w.posts] == [2, 0, 1]


def test_a_class_may_always_load_relations(blog: Database) -> None:
    class Eager(Post):
        table = "posts"
        eager = ["writer", "comments"]

        @relation
        def comments(self) -> Any:
            return self.has_many(Comment, "post_id")

    assert count_of(blog, lambda: Eager.all()) == 3
    assert Eager.find(1).relation_loaded("writer")
    assert not Eager.query().without("writer").find(1).relation_loaded("writer")
    assert count_of(blog, lambda: Eager.count()) == 1


def test_load_and_load_missing(blog: Database) -> None:
    writers = Writer.order_by("id").get()
    assert count_of(blog, lambda: writers.load("posts")) == 1
    assert count_of(blog, lambda: writers.load_missing("posts")) == 0
    assert count_of(blog, lambda: writers.load_missing("posts.comments", "latest")) == 2
    assert count_of(blog, lambda: writers.load_missing("posts.comments")) == 0
    assert len(writers[0].posts[0].comments) == 2

    writer = Writer.find(1)
    writer.load_missing("posts")
    first = writer.posts
    assert writer.load_missing("posts").posts is first
    assert writer.load("posts").posts is not first
    nobody = Writer.where("id", 0).get()
    assert count_of(blog, lambda: nobody.load("posts")) == 0


def test_relations_on_another_connection_are_loaded_there(blog: Database, tmp_path: Any) -> None:
    blog.add_connection("articles", {"driver": "sqlite", "database": str(tmp_path / "a.sqlite")})
    there = blog.connection("articles")
    there.statement("create table articles (id integer primary key, writer_id int, title text)")
    Article.create(writer_id=2, title="elsewhere")

    writers = Writer.with_("articles").order_by("id").get()

    assert [titles(w.articles) for w in writers] == [[], ["elsewhere"], []]
    assert Writer.find(2).articles[0].title == "elsewhere"
    with pytest.raises(RelationError, match="lives on connection 'articles'"):
        Writer.has("articles").get()


def test_relations_follow_the_connection_of_the_query(blog: Database, tmp_path: Any) -> None:
    with Connection(str(tmp_path / "copy.sqlite"), "copy") as copy:
        copy.statement("create table writers (id integer primary key, name text)")
        copy.statement("create table posts (id integer primary key, writer_id int, title text)")
        Writer.on(copy).create(name="z")
        Writer.on(copy).first().related("posts").create(title="there")

        assert titles(Writer.on(copy).with_("posts").first().posts) == ["there"]
        assert titles(Writer.on(copy).first().posts) == ["there"]
        assert Writer.on(copy).has("posts").count() == 1
        assert Writer.on(copy).with_count("posts").first().posts_count == 1
    assert Post.where("title", "there").count() == 0


# --- asking by what is related


def test_has_and_doesnt_have(blog: Database) -> None:
    assert Writer.has("posts").order_by("id").pluck("name") == ["a", "b"]
    assert Writer.has("posts", ">=", 2).pluck("name") == ["a"]
    assert Writer.has("posts", "<", 2).order_by("id").pluck("name") == ["b", "c"]
    assert Writer.has("posts", "=", 0).pluck("name") == ["c"]
    assert Writer.doesnt_have("posts").pluck("name") == ["c"]
    assert Post.has("writer").count() == 3
    assert Writer.where("name", "c").or_has("posts", ">=", 2).pluck("name") == ["a", "c"]
    assert Writer.where("name", "a").or_doesnt_have("posts").pluck("name") == ["a", "c"]


def test_has_goes_as_deep_as_the_relations(blog: Database) -> None:
    assert Writer.has("posts.comments").order_by("id").pluck("name") == ["a", "b"]
    assert Writer.has("posts.comments", ">=", 2).pluck("name") == ["a"]
    assert Writer.doesnt_have("posts.comments").pluck("name") == ["c"]
    assert Comment.has("post.writer").count() == 3
    assert Post.doesnt_have("comments").order_by("id").pluck("title") == ["p2", "p4"]


def test_where_has_describes_the_related(blog: Database) -> None:
    liked = Writer.where_has("posts", lambda q: q.where("likes", ">", 4).or_where("likes", 0))

    assert liked.order_by("id").pluck("name") == ["a", "b"]
    assert Writer.where_has("posts", lambda q: q.where("likes", ">", 6)).pluck("name") == ["b"]
    assert Writer.where_has("posts", lambda q: q.where("likes", ">=", 0), ">=", 2).count() == 1
    assert Writer.where_has("posts").count() == 2
    assert Writer.where("id", 3).or_where_has("posts", lambda q: q.where("likes", 7)).count() == 2
    assert Writer.where_doesnt_have("posts", lambda q: q.where("likes", ">", 6)).count() == 2
    never = Writer.where("id", 0).or_where_doesnt_have("posts", lambda q: q.where("likes", 7))
    assert never.count() == 2
    deep = Writer.where_has("posts.comments", lambda q: q.where("body", "c3"))
    assert deep.pluck("name") == ["b"]
    inside = Writer.where(lambda q: q.has("posts").or_where("id", 3)).where("id", ">", 1)
    assert inside.order_by("id").pluck("name") == ["b", "c"]


def test_with_count_counts_the_related(blog: Database) -> None:
    writers = Writer.with_count("posts").order_by("id").get()
    assert [w.posts_count for w in writers] == [2, 1, 0]
    assert writers[0].name == "a"

    writer = Writer.with_count("posts as all_of_them", posts=lambda q: q.where("likes", 0)).find(1)
    assert (writer.all_of_them, writer.posts_count) == (2, 1)
    both = Writer.with_count(["posts"], {"posts as liked": lambda q: q.where("likes", ">", 1)})
    assert [(w.posts_count, w.liked) for w in both.order_by("id").get()] == [(2, 1), (1, 1), (0, 0)]
    assert Writer.select("id").with_count("posts").find(1).get_attributes() == {
        "id": 1, "posts_count": 2,
    }  # fmt: skip


def test_load_count_sets_the_count_on_one_model(blog: Database) -> None:
    writer = Writer.find(1)

    assert writer.load_count("posts").posts_count == 2
    assert writer.is_clean()
    writer.name = "changed"
    Post.where("id", 1).delete()
    assert writer.load_count("posts").posts_count == 1
    assert writer.get_dirty() == {"name": "changed"}
    assert writer.save()


def test_two_with_calls_add_up(blog: Database) -> None:
    writer = Writer.with_("posts").with_("latest").find(1)

    assert writer.relation_loaded("posts")
    assert writer.relation_loaded("latest")
