def test_a_row_comes_back(db):
    db.statement("create table things (id integer primary key auto_increment, a varchar(50))"
        if db.connection().dialect.name == "mysql" else "create table things (id integer primary key, a text)")
    assert db.insert_get_id("insert into things (a) values (?)", ["😀'\\"])==1
    assert db.select("select * from things") == [{"id": 1, "a": "😀'\\"}]
    assert db.connection().run("update things set a='x' where a = :v", {"v":"😀'\\"}).rowcount==1
    assert [r.id for r in db.cursor("select id from things")]==[1]
    def f(c):
        with c.transaction():
            c.insert("insert into things (a) values (?)", ["k2"])
        return c.select_tuples("select count(*) from things")
    assert db.transaction(f,3)==[(2,)]
    try:
        db.transaction(lambda: (f(db.connection()), 1/0))
    except ZeroDivisionError: pass
    assert f(db.connection())==[(3,)]
