def test_a_row_comes_back(db):
    db.insert("insert into cache values (?, ?, ?)", ["k", "v", 1])
    assert db.select("select * from cache") in ([{"key": "k", "value": "v", "expiration": 1}],[{"key": b"k", "value": "v", "expiration": 1}])
    assert db.connection().run("update cache set value='x' where value = :v", {"v":"v"}).rowcount==1
    n=db.insert_get_id("insert into jobs(queue,payload,available_at,created_at) values(?,?,1,1)",["q","😀'\\"])
    assert n==1
    assert db.scalar("select payload from jobs")=="😀'\\"
    assert [r.id for r in db.cursor("select id from jobs")]==[1]
    def f(c):
        with c.transaction():
            c.insert("insert into cache values (?, ?, ?)", ["k2", "v", 1])
        return c.select_tuples("select count(*) from cache")
    assert db.transaction(f,3)==[(2,)]

def test_again(db):
    assert db.scalar("select count(*) from jobs")==0
def test_e(empty_db):
    empty_db.statement("create table a(b int)")
