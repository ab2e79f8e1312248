-- A store of schema 1: its statements are those of that version, its records what it wrote.
BEGIN TRANSACTION;
CREATE TABLE acks (
        seq INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        through INTEGER NOT NULL DEFAULT 0
    );
INSERT INTO "acks" VALUES(1,'2013-04-30T18:00:00.000000Z',0);
CREATE TABLE canaries (
        id TEXT PRIMARY KEY NOT NULL,
        url TEXT NOT NULL,
        channel TEXT NOT NULL,
        label TEXT,
        token TEXT,
        control INTEGER NOT NULL DEFAULT 0,
        created TEXT NOT NULL
    );
INSERT INTO "canaries" VALUES('k7f3q2m9','https://www.example.org/x/login.html?user=tbtest&password=geheim','skype','login link',NULL,0,'2013-04-30T10:00:00.000000Z');
CREATE TABLE meta (
        key TEXT PRIMARY KEY NOT NULL,
        value
    ) WITHOUT ROWID;
CREATE TABLE requests (
        seq INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        bytes_total INTEGER NOT NULL,
        status INTEGER,
        record TEXT NOT NULL
    );
INSERT INTO "requests" VALUES(2,1367342912104512,291,200,'{"alert":false,"client":"65.52.100.214","dst":"192.168.1.10","dst_port":80,"host":"www.example.org","kind":"request","method":"GET","origin":"outside","scheme":"http","seq":2,"src":"65.52.100.214","src_port":50112,"target":"/page/0","time":"2013-04-30T17:28:32.104512Z","version":"HTTP/1.1"}');
INSERT INTO "requests" VALUES(5,1367342913104512,582,200,'{"alert":false,"client":"65.52.100.214","dst":"192.168.1.10","dst_port":80,"host":"www.example.org","kind":"request","method":"GET","origin":"outside","scheme":"http","seq":5,"src":"65.52.100.214","src_port":50112,"target":"/page/1","time":"2013-04-30T17:28:33.104512Z","version":"HTTP/1.1"}');
INSERT INTO "requests" VALUES(8,1367342914104512,873,200,'{"alert":false,"client":"65.52.100.214","dst":"192.168.1.10","dst_port":80,"host":"www.example.org","kind":"request","method":"GET","origin":"outside","scheme":"http","seq":8,"src":"65.52.100.214","src_port":50112,"target":"/page/2","time":"2013-04-30T17:28:34.104512Z","version":"HTTP/1.1"}');
CREATE TABLE spans (
        number INTEGER PRIMARY KEY,
        earliest INTEGER NOT NULL,
        latest INTEGER NOT NULL
    );
CREATE TABLE visits (
        seq INTEGER PRIMARY KEY,
        record TEXT NOT NULL,
        hash TEXT NOT NULL
    );
INSERT INTO "visits" VALUES(1,'{"alert":true,"canary":"k7f3q2m9","channel":"skype","client":"65.52.100.214","dst":"192.168.1.10","dst_port":80,"host":"www.example.org","kind":"visit","label":"login link","match":"url","method":"HEAD","origin":"outside","prev":"0000000000000000000000000000000000000000000000000000000000000000","scheme":"http","seq":1,"src":"65.52.100.214","src_port":50112,"target":"/x/login.html?user=tbtest&password=geheim","time":"2013-04-30T17:28:32.104512Z","version":"HTTP/1.1"}','66e3c5d14f7c440da68516d49e8a1c29aad1ac935c0d43b3706524214ec376df');
INSERT INTO "visits" VALUES(3,'{"kind":"detail","of":1,"prev":"66e3c5d14f7c440da68516d49e8a1c29aad1ac935c0d43b3706524214ec376df","seq":3,"status":200,"time":"2013-04-30T17:28:32.104512Z"}','c44c9afbee804bf2674a2e519f5b5fbedc9e9e4578e08a71292a1df6861ba747');
INSERT INTO "visits" VALUES(4,'{"alert":true,"canary":"k7f3q2m9","channel":"skype","client":"65.52.100.214","dst":"192.168.1.10","dst_port":80,"host":"www.example.org","kind":"visit","label":"login link","match":"url","method":"HEAD","origin":"outside","prev":"c44c9afbee804bf2674a2e519f5b5fbedc9e9e4578e08a71292a1df6861ba747","scheme":"http","seq":4,"src":"65.52.100.214","src_port":50112,"target":"/x/login.html?user=tbtest&password=geheim","time":"2013-04-30T17:28:33.104512Z","version":"HTTP/1.1"}','12693b9d09977e045ec2339940960535fea81cb38ee507e09dfe22df35c35920');
INSERT INTO "visits" VALUES(6,'{"kind":"detail","of":4,"prev":"12693b9d09977e045ec2339940960535fea81cb38ee507e09dfe22df35c35920","seq":6,"status":200,"time":"2013-04-30T17:28:33.104512Z"}','ede7f3cc991c3233857df3ed1c1c129fde7c282fe13d2d1fde4bfd2834f5af78');
INSERT INTO "visits" VALUES(7,'{"alert":true,"canary":"k7f3q2m9","channel":"skype","client":"65.52.100.214","dst":"192.168.1.10","dst_port":80,"host":"www.example.org","kind":"visit","label":"login link","match":"url","method":"HEAD","origin":"outside","prev":"ede7f3cc991c3233857df3ed1c1c129fde7c282fe13d2d1fde4bfd2834f5af78","scheme":"http","seq":7,"src":"65.52.100.214","src_port":50112,"target":"/x/login.html?user=tbtest&password=geheim","time":"2013-04-30T17:28:34.104512Z","version":"HTTP/1.1"}','0e58b408c96762eef02cd873fb101ff8ff16c19bbbad4b85e24d5543284371d8');
INSERT INTO "visits" VALUES(9,'{"kind":"detail","of":7,"prev":"0e58b408c96762eef02cd873fb101ff8ff16c19bbbad4b85e24d5543284371d8","seq":9,"status":200,"time":"2013-04-30T17:28:34.104512Z"}','3c9ed401f4e4ccdb7f5978c424c33383265380876ed037f424f2d0053e0e7e2e');
CREATE INDEX visits_by_canary ON visits (iif(json_valid(record),json_extract(record,'$.canary'),NULL)) WHERE iif(json_valid(record),json_extract(record,'$.canary'),NULL) IS NOT NULL;
CREATE INDEX visits_by_channel ON visits (iif(json_valid(record),json_extract(record,'$.channel'),NULL)) WHERE iif(json_valid(record),json_extract(record,'$.channel'),NULL) IS NOT NULL;
CREATE INDEX visits_by_of ON visits (iif(json_valid(record),json_extract(record,'$.of'),NULL)) WHERE iif(json_valid(record),json_extract(record,'$.of'),NULL) IS NOT NULL;
CREATE INDEX visits_that_alert ON visits (seq) WHERE iif(json_valid(record),json_extract(record,'$.alert'),NULL) = 1;
COMMIT;
PRAGMA user_version = 1;
