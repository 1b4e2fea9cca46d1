"""What each department would export, and what becomes of every row.

For each type a header as the department's system writes it and a few rows: the ordinary one, those
at the edges (foreigners, people from Hong Kong, Macau and Taiwan, minors, sole traders, no end) and
one that must be refused. What a row must come to was written down before it was run: fields that
are worth a look, ``until`` for its last day (None: no end), or the reason and the field.
"""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalogue import FieldValue, load_catalogue, validate_fields
from ledger.certificate.identifiers import credit_code_check, identity_check_digit
from ledger.export import Row, open_export
from ledger.export.rows import Wanted
from ledger.intake.rows import Prepared, prepare, prepare_rows
from ledger.statement.texts import normalise_column

CATALOGUE = load_catalogue()
TODAY = date(2026, 11, 22)


def number(body: str) -> str:
    return body + identity_check_digit(body)


def code(stem: str) -> str:
    return stem + credit_code_check(stem)


NUMBERS = {
    "woman": number("44039119900307002"),
    "man": number("44039219850515013"),
    "minor": number("44039320150601004"),
    "elder": number("44039419500505011"),
    "wrong": number("44039119900307002")[:17] + "0",
    "macau": number("82000019940823002"),  # residence permit, under GB 11643
    "canadian": "944124198108030022",  # permanent residence identity card
    "american": "USA110081080315",  # its predecessor
    "passport": "E12345678",
    "hongkong": "H12345678",
    "taiwan": "12345678",
    "company": code("91440391MA6000101"),
    "branch": code("91440391MA6000102"),
    "trader": code("92440391MA6000103"),
    "partnership": code("91440391MA6000104"),
    "bureau": code("11440391000000105"),
    "village": code("54440391MA6000106"),
    "not_a_code": code("91440391MA6000101")[:17] + "I",
}

IDENTITY, CREDIT = "identity_number.check_digit", "credit_code.check_digit"

Expected = dict[str, FieldValue | None] | str

EXPORTS: dict[str, tuple[str, list[tuple[str, Expected]]]] = {
    "resident-identity-card": (
        "姓名|性别|民族|出生日期|住址|公民身份号码|签发机关|有效期限",
        [
            (
                "林一|女|汉|1990年3月7日|示例路1号|{woman}|示例市公安局|2020.03.07-2040.03.07",
                {"sex": "女", "birth_date": "1990-03-07", "of_age_18": True, "until": "2040-03-07"},
            ),
            (
                "林小|女|汉|20150601|示例路1号|{minor}|示例市公安局|2024.06.01-2029.06.01",
                {"of_age_16": False, "until": "2029-06-01"},
            ),
            (
                "周老|1|回|1950.05.05|示例路2号|{elder}|示例市公安局|2010.05.05-长期",
                {"sex": "男", "of_age_60": True, "until": None},
            ),
            (
                "外人|男|无|1981-08-03|示例路|{canadian}|示例市公安局|长期",
                f"{IDENTITY} identity_number",
            ),
            (
                "外人|男|无|1981-08-03|示例路|{passport}|示例市公安局|长期",
                f"{IDENTITY} identity_number",
            ),
        ],
    ),
    "household-register": (
        "户号|户主姓名|与户主关系|姓名|性别|民族|出生日期|公民身份号码|婚姻状况|住址|登记机关|登记日期",
        [
            (
                "0001|周明|户主|周明|男|汉|1985-05-15|{man}|已婚|示例路1号|深圳市公安局示例派出所|2019-05-06",
                {"head_of_household": True, "shenzhen_household": True, "until": None},
            ),
            (
                "0001|周明|女|周小|女|汉|2015-06-01|{minor}||示例路1号|示例派出所|2019-05-06",
                {"head_of_household": False, "of_age_16": False},
            ),
            (
                "0002|白安娜|户主|白安娜|女|外国血统中国籍（某国）|1990-03-07|{woman}|未婚|示例路|某所|2019-05-06",
                {"ethnicity": "外国血统中国籍（某国）"},
            ),
            (
                "0002|甲|妻|乙|女|汉|1990-03-07|{taiwan}|已婚|某路|某所|2019-05-06",
                f"{IDENTITY} identity_number",
            ),
        ],
    ),
    "birth-certificate": (
        (
            "出生证编号|姓名|性别|出生日期|孕周|出生体重|出生身长|出生地点|医疗机构|母亲姓名"
            "|母亲有效身份证件号码|父亲姓名|父亲有效身份证件号码|签发机构|签发日期"
        ),
        [
            (
                "T440000001|周小|女|2024-05-20|39+2周|3200克|50cm|深圳市|某医院|林一|{woman}|周明|{man}|某医院|2024-05-22",
                {
                    "gestation_weeks": "39+2周",
                    "weight_grams": 3200,
                    "length_cm": 50,
                    "born_in_shenzhen": True,
                },
            ),
            (
                "T440000002|某某|男|2024-05-20|40|3,350|51|某市|某医院|某人|{passport}|某人|{american}|某医院|2024-05-22",
                {"identity_number": "E12345678", "weight_grams": 3350, "born_in_shenzhen": False},
            ),
            (
                "T440000003|单某|女|2024-05-20||||某市|某医院|单人|{hongkong}|||某医院|2024-05-22",
                {"identity_number": "H12345678", "father_name": None},
            ),
            (
                "T440000004|某|女|2024-05-20||||某市|某医院|林一|{woman}|周明|{wrong}|某医院|2024-05-22",
                f"{IDENTITY} father_identity_number",
            ),
        ],
    ),
    "marriage-certificate": (
        "结婚证字号|持证人|国籍|持证人性别|持证人出生日期|持证人身份证件号|配偶姓名|配偶身份证件号|登记日期|登记机关",
        [
            (
                "J440391-2018-000001|林一|中国|女|1990-03-07|{woman}|周明|{man}|2018-10-16|某民政局",
                {"until": None},
            ),
            (
                "J440391-2018-000002|林一|中国|女|1990-03-07|{woman}|SMITH|e00000000|2018-10-16|某民政局",
                {"spouse_identity_number": "E00000000"},
            ),
            (
                "J440391-2018-000003|陈大文|中国香港|男|1985-05-15|A123456(7)|林一|{woman}|2018-10-16|某民政局",
                {"identity_number": "A1234567"},
            ),
            (
                "J440391-2018-000004|某人|加拿大|男|1981-08-03|{canadian}|林一|{woman}|2018-10-16|某民政局",
                {"identity_number": "944124198108030022"},
            ),
            (
                "J440391-2018-000005|林一|中国|女|1990-03-07|{woman}|周明|不详|2018-10-16|某民政局",
                f"{IDENTITY} spouse_identity_number",
            ),
        ],
    ),
    "divorce-certificate": (
        "离婚证字号|持证人|性别|出生日期|身份证件号|原配偶姓名|原配偶身份证号|登记日期|登记机关",
        [
            (
                "L440391-2020-000001|林一|女|1990-03-07|{woman}|周明|{man}|2020-10-16|某民政局",
                {"until": None},
            ),
            (
                "L440391-2020-000002|周明|男|1985-05-15|{man}|某人|{taiwan}|2020-10-16|某民政局",
                {"former_spouse_identity_number": "12345678"},
            ),
            (
                "L440391-2020-000003|周明|男|1985-05-15|{wrong}|某人||2020-10-16|某民政局",
                f"{IDENTITY} identity_number",
            ),
        ],
    ),
    "residence-permit": (
        "居住证号|姓名|性别|出生日期|户籍地址|居住地址|公民身份号码|签发机关|签发日期|有效期限",
        [
            (
                "JZ1|林一|女|1990-03-07|某省某县|示例路|{woman}|某分局|2020-02-29|2020-02-29至2030-02-28",
                {"until": "2030-02-28"},
            ),
            # The special zone's permit holds ten years where the export says no more.
            (
                "JZ2|周明|男|1985-05-15|某省某县|示例路|{man}|某分局|2020-02-29|",
                {"until": "2030-03-01"},
            ),
            ("JZ3|何澳|女|1994-08-23||示例路|{macau}|某分局|2022-01-05|", {"of_age_18": True}),
            (
                "JZ4|某人|男|1981-08-03||示例路|{passport}|某分局|2022-01-05|",
                f"{IDENTITY} identity_number",
            ),
        ],
    ),
    "social-security-card": (
        "姓名|性别|出生日期|社会保障号码|卡号|服务银行|首次参保年月|养老保险状态|发卡机构|发卡日期",
        [
            (
                "林一|女||{woman}|SB001|某银行|201207|参保|某人社局|2022-04-11",
                {
                    "insured_since": "2012-07",
                    "pension": "正常参保",
                    "of_age_18": True,
                    "until": None,
                },
            ),
            (
                "SMITH|男|1981-08-03|{passport}|SB002|某银行|2019-09-01||某人社局|2022-04-11",
                {"insured_since": "2019-09-01", "of_age_60": False, "of_age_18": True},
            ),
            # Neither the number nor the export tells the age.
            ("陈某|男||{hongkong}|SB003|某银行|||某人社局|2022-04-11", {"of_age_18": None}),
            ("某人|男||{wrong}|SB004|某银行|||某人社局|2022-04-11", f"{IDENTITY} identity_number"),
        ],
    ),
    "medical-insurance-certificate": (
        "姓名|公民身份号码|医保编号|险种类型|参保地|参保状态|经办机构|发证日期",
        [
            (
                "林一|{woman}|YB001|职工医保|深圳市|正常|某医保局|2024-01-01",
                {
                    "insurance_kind": "职工基本医疗保险",
                    "insured": True,
                    "insured_in_shenzhen": True,
                },
            ),
            (
                "林小|{minor}|YB002|城乡居民基本医疗保险|某市|暂停参保|某医保局|2024-01-01",
                {"insured": False, "insured_in_shenzhen": False},
            ),
            ("某人|{american}|YB003|职工医保|某市|正常参保|某医保局|2024-01-01", {"insured": True}),
            (
                "某人|{woman}|YB004|商业保险|某市|正常参保|某医保局|2024-01-01",
                "field.invalid insurance_kind",
            ),
        ],
    ),
    "provident-fund-certificate": (
        "姓名|公民身份号码|个人公积金账号|缴存单位|账户状态|月缴存额|账户余额|缴至年月|出具机构|出具日期",
        [
            (
                "林一|{woman}|GJJ001|某学校|正常|3200|158,400.5|2024-05|某中心|2024-06-10",
                {
                    "monthly_amount": "3200.00",
                    "balance": "158400.50",
                    "paid_until": "2024-05",
                    "account_active": True,
                    "until": "2025-06-10",
                },
            ),
            (
                "周明|{man}|GJJ002|某公司|封存|￥2100.00元|1.2万元|202405|某中心|2024-06-10",
                {"balance": "12000.00", "paid_until": "2024-05", "account_active": False},
            ),
            (
                "某人|{passport}|GJJ003|某公司|正常缴存|||2024年5月|某中心|2024-06-10",
                {"account_state": "正常", "paid_until": "2024-05"},
            ),
            (
                "某人|{macau}|GJJ004|某公司|正常|0.005||2024.5|某中心|2024-06-10",
                "field.invalid monthly_amount",
            ),
            (
                "某人|{woman}|GJJ005|某公司|正常|||2024-05-15|某中心|2024-06-10",
                "date.invalid paid_until",
            ),
        ],
    ),
    "driving-licence": (
        "证号|姓名|性别|国籍|出生日期|准驾车型|初次领证日期|有效期限|档案编号",
        [
            (
                "{woman}|林一|女|中国||C1|2013-05-01|2019-05-01至2029-05-01|440391000001",
                {
                    "of_age_18": True,
                    "may_drive_car": True,
                    "driving_for_3_years": True,
                    "until": "2029-05-01",
                },
            ),
            (
                "{passport}|SMITH JOHN|男|英国|1960-01-01|C2|2025-01-02|2025-01-02至2031-01-02|",
                {"of_age_60": True, "driving_for_1_year": True, "driving_for_3_years": False},
            ),
            (
                "{man}|周明|男|中国||A1A2D|2004-05-20|2015-05-20至长期|",
                {"may_drive_car": True, "until": None},
            ),
            (
                "{canadian}|某人|男|加拿大||D|2020-05-20|2020-05-20至2026-05-20|",
                {"of_age_18": True, "may_drive_car": False},
            ),
            (
                "{wrong}|某人|男|中国||C1|2020-05-20|2020-05-20至2026-05-20|",
                f"{IDENTITY} identity_number",
            ),
        ],
    ),
    "vehicle-licence": (
        "号牌号码|车辆类型|所有人|所有人证件号码|使用性质|品牌型号|车辆识别代号|注册日期|发证日期|检验有效期至",
        [
            (
                "粤B00001|小型轿车|林一|{woman}|非营运|某牌|LTEST000000000001|2020-05-01|2020-05-02|2026年5月",
                {"inspected_until": "2026-05", "passenger_hire": False, "until": None},
            ),
            (
                "粤B00002|小型轿车|某出租公司|{company}|出租客运|某牌|LTEST000000000002|2020-05-01|2020-05-02|2026-05-31",
                {"inspected_until": "2026-05-31", "passenger_hire": True},
            ),
            (
                "粤B00003|小型轿车|某商行|{trader}|营转非|某牌|LTEST000000000003|2020-05-01|2020-05-02|",
                {"owner_number": NUMBERS["trader"]},
            ),
            (
                "粤B00004|小型轿车|某人|{canadian}|非营运|某牌|LTEST000000000004|2020-05-01|2020-05-02|",
                {"owner_number": "944124198108030022"},
            ),
            (
                "粤B00005|小型轿车|某公司|{not_a_code}|非营运|某牌|LTEST000000000005|2020-05-01|2020-05-02|",
                f"{CREDIT} owner_number",
            ),
        ],
    ),
    "real-estate-certificate": (
        "不动产权证书号|权利人|权利人证件号|共有情况|坐落|不动产单元号|权利类型|权利性质|用途|面积|使用期限|登记机构|登簿日期",
        [
            (
                (
                    "粤(2020)某市不动产权第01号|林一|{woman}|共同共有|深圳市某路1号|GB1|房屋所有权|出让"
                    "|住宅|土地面积12.5㎡/建筑面积89.53㎡|2005年6月1日起2075年5月31日止|某中心|2020-06-01"
                ),
                {
                    "area": "土地面积12.5㎡/建筑面积89.53㎡",
                    "located_in_shenzhen": True,
                    "until": None,
                },
            ),
            # The other of the two owners: a row, and a certificate, of her own.
            (
                "粤(2020)示例市不动产权第0000001号|某人|{canadian}|共同共有|某路1号|GB1|房屋所有权|出让|住宅|89.53平方米||某中心|2020-06-01",
                {"owner_number": "944124198108030022", "land_use_period": None},
            ),
            (
                "粤(2020)示例市不动产权第0000002号|某公司|{company}|单独所有|某路2号|GB2|房屋所有权|出让|办公|1,200.00平方米||某中心|2020-06-01",
                {"owner_number": NUMBERS["company"]},
            ),
            (
                "粤(2020)示例市不动产权第0000003号|陈大文|{hongkong}|单独所有|某路3号|GB3|房屋所有权|出让|住宅|60㎡|70年|某中心|2020-06-01",
                {"land_use_period": "70年"},
            ),
            (
                "粤(2020)示例市不动产权第0000004号|林一、周明|{woman}、{man}|共同共有|某路4号|GB4|房屋所有权|出让|住宅|60㎡||某中心|2020-06-01",
                f"{IDENTITY} owner_number",
            ),
        ],
    ),
    "business-licence": (
        "统一社会信用代码|名称|类型|法定代表人|注册资本|成立日期|营业期限|经营范围|登记机关",
        [
            (
                "{company}|某公司|有限责任公司(自然人投资或控股)|林一|100万元人民币|2018-05-23|长期|食品销售|深圳市市场监督管理局",
                {
                    "limited_company": True,
                    "permits_food": True,
                    "registered_in_shenzhen": True,
                    "until": None,
                },
            ),
            (
                "{trader}||个体工商户|林一||2024-01-01||餐饮服务|某局",
                {"name": None, "registered_capital": None, "limited_company": False, "until": None},
            ),
            (
                "{branch}|某公司分公司|有限责任公司分公司(自然人独资)|周明||2020-02-01||软件开发|某局",
                {"limited_company": False, "permits_food": False},
            ),
            (
                "{partnership}|某中心|有限合伙企业|甲、乙|500万元|2020-02-01|2020-02-01至2030-01-31|投资|某局",
                {"limited_company": False, "until": "2030-01-31"},
            ),
            (
                "{not_a_code}|某公司|有限责任公司|林一|10万元|2020-02-01|长期|软件|某局",
                f"{CREDIT} credit_code",
            ),
        ],
    ),
    "food-business-permit": (
        "许可证编号|经营者名称|社会信用代码|法定代表人(负责人)|经营场所|主体业态|经营项目|发证机关|发证日期|有效截止日期",
        [
            (
                "JY24403910000001|某餐馆|{trader}|林一|某路1号|餐饮服务经营者|热食类食品制售|某局|2024-01-01|2028-12-31",
                {"permits_catering": True, "permits_sale": False, "until": "2028-12-31"},
            ),
            (
                "JY14403910000002|某商店|{company}|林一|某路2号|食品销售经营者|预包装食品销售|某局|2024-01-01|长期",
                {"permits_sale": True, "until": None},
            ),
            # Five years by law where the export does not say.
            (
                "JY14403910000003|某商店|{company}|林一|某路|食品销售经营者|散装食品销售|某局|2024-02-29|",
                {"until": "2029-03-01"},
            ),
            *(
                (
                    f"JY14403910000004|某商店|{nobody}|林一|某路|业态|项目|某局|2024-01-01|",
                    f"{CREDIT} credit_code",
                )
                for nobody in ("{not_a_code}", code("9I440391MA6000101"), "0" * 18)
            ),
        ],
    ),
    "tax-registration": (
        "纳税人名称|纳税人识别号|法定代表人|注册地址|纳税人资格|登记注册类型|纳税信用等级|主管税务机关|登记日期",
        [
            (
                "某公司|{company}|林一|某路1号|增值税一般纳税人|有限责任公司|A级|某税务局|2018-06-01",
                {"general_taxpayer": True, "credit_rating": "A"},
            ),
            (
                "某商行|{trader}|林一|某路|小规模|个体工商户||某税务局|2018-06-01",
                {"general_taxpayer": False},
            ),
            # In business without a licence, registered by her own number.
            (
                "林一|{woman}|林一|某路|小规模纳税人|临时登记||某税务局|2018-06-01",
                {"credit_code": NUMBERS["woman"]},
            ),
            (
                "某公司|{wrong}|林一|某路|小规模纳税人|公司||某税务局|2018-06-01",
                f"{IDENTITY} credit_code",
            ),
        ],
    ),
    "teacher-certificate": (
        "证书号码|姓名|性别|民族|出生日期|身份证号|资格种类|任教学科|认定机构|认定时间",
        [
            (
                "20164403912000001|林一|女|汉族|1990-03-07|{woman}|高级中学教师资格|语文|某教育局|2016-06-20",
                {"until": None},
            ),
            (
                "20224403912000002|何澳|女||1994-08-23|{macau}|小学教师资格|英语|某教育局|2022-06-20",
                {"subject": "英语"},
            ),
            (
                "20224403912000003|陈某|男||1985-05-15|{taiwan}|小学教师资格|数学|某教育局|2022-06-20",
                {"identity_number": "12345678"},
            ),
            (
                "20224403912000004|某|男||1985-05-15||小学教师资格|数学|某教育局|2022-06-20",
                "field.missing identity_number",
            ),
        ],
    ),
    "doctor-practice-certificate": (
        "医师执业证书编码|姓名|性别|身份证号|执业类别|执业级别|执业范围|主要执业机构|发证机关|发证日期",
        [
            (
                "110440300000001|林一|女|{woman}|临床|执业医师|内科专业|某医院|某卫健委|2020-01-02",
                {"fully_licensed": True},
            ),
            (
                "210440300000002|周明|男|{man}|中医类别|执业助理医师|中医专业|某诊所|某卫健委|2020-01-02",
                {"category": "中医", "fully_licensed": False},
            ),
            (
                "110440300000003|陈大文|男|{hongkong}|口腔|执业医师|口腔专业|某医院|某卫健委|2020-01-02",
                {"until": None},
            ),
            (
                "110440300000004|某|男|{man}|兽医|执业医师|某|某|某|2020-01-02",
                "field.invalid category",
            ),
        ],
    ),
    "nurse-practice-certificate": (
        "护士执业证书编号|姓名|性别|出生日期|身份证号|执业地点|注册日期|注册有效期至|发证机关",
        [
            (
                "202044030001|林一|女|1990-03-07|{woman}|某医院|2022-03-01|2027-02-28|某卫健委",
                {"until": "2027-02-28"},
            ),
            (
                "202044030002|何澳|女|1994-08-23|{macau}|某医院|2024-02-29||某卫健委",
                {"until": "2029-03-01"},
            ),
            (
                "202044030003|某|女|1990-03-07|{woman}|某医院|2022-03-01|2021-02-28|某卫健委",
                "date.invalid valid_until",
            ),
        ],
    ),
    "lawyer-practice-certificate": (
        "律师执业证号|姓名|性别|身份证号|执业机构|执业证类别|法律职业资格证号|年度考核有效期至|发证机关|发证日期",
        [
            (
                "14403202010000001|林一|女|{woman}|某律师事务所|专职律师|A20190000001|2027-05-31|某司法厅|2020-01-02",
                {"full_time": True, "until": None},
            ),
            (
                "14403202010000002|陈大文|男|{hongkong}|某律师事务所|兼职律师|||某司法厅|2020-01-02",
                {"full_time": False},
            ),
            (
                "14403202010000003|某|男|{man}|某律师事务所|实习|||某司法厅|2020-01-02",
                "field.invalid practice_kind",
            ),
        ],
    ),
    "disability-certificate": (
        "残疾人证号|姓名|性别|出生日期|公民身份号码|残疾类别|残疾等级|监护人|批准残联|发证日期|有效期至",
        [
            (
                "{woman}41|林一|女|1990-03-07|{woman}|肢体残疾|1级||某残联|2020-03-01|2030-02-28",
                {"category": "肢体", "severe": True, "until": "2030-02-28"},
            ),
            (
                "{minor}53|林小|女|2015-06-01|{minor}|5|三级|林一|某残联|2020-03-01|",
                {"category": "智力", "severe": False, "until": "2030-03-01"},
            ),
            (
                "{elder}22|周老|男|1950-05-05|{elder}|听力|贰级||某残联|2020-03-01|长期",
                {"severe": True, "until": None},
            ),
            (
                "{woman}45|林一|女|1990-03-07|{woman}|肢体|五级||某残联|2020-03-01|",
                "field.invalid grade",
            ),
        ],
    ),
    "elder-card": (
        "优待证号|姓名|性别|出生日期|身份证号|发证机关|发证日期",
        [
            (
                "LN1|周老|男|1950-05-05|{elder}|某民政局|2021-06-01",
                {"of_age_70": True, "of_age_80": False},
            ),
            (
                "LN2|某人|女|1955-01-01|{passport}|某民政局|2021-06-01",
                {"of_age_65": True, "identity_number": "E12345678"},
            ),
            ("|周老|男|1950-05-05|{elder}|某民政局|2021-06-01", {"certificate_number": None}),
            ("LN3|周老|男|1950-02-30|{elder}|某民政局|2021-06-01", "date.invalid birth_date"),
        ],
    ),
    "veteran-card": (
        "优待证编号|姓名|性别|身份证号|优待对象类别|发证机关|发证日期|有效期限",
        [
            (
                "TY1|周明|男|{man}|退役军人|某退役军人局|2022-08-01|2022-08-01至2042-08-01",
                {"veteran": True, "until": "2042-08-01"},
            ),
            (
                "TY2|林一|女|{woman}|烈士遗属|某退役军人局|2022-08-01|长期",
                {"veteran": False, "until": None},
            ),
            ("TY3|周明|男|{man}|现役军人|某退役军人局|2022-08-01|长期", "field.invalid category"),
        ],
    ),
    "low-income-certificate": (
        "低保证号|户主姓名|户主身份证号|家庭类别|保障人数|月保障金额|审批机关|批准日期|有效期至",
        [
            (
                "DB1|林一|{woman}|低保|3人|1,365.00|某区民政局|2026-01-01|2026-12-31",
                {"members": 3, "monthly_amount": "1365.00", "until": "2026-12-31"},
            ),
            (
                "DB2|周老|{elder}|低保|1|1365元|某区民政局|2026-01-01|",
                {"monthly_amount": "1365.00", "until": "2027-01-01"},
            ),
            ("DB3|某人|{passport}|低保|1||某区民政局|2026-01-01|", f"{IDENTITY} identity_number"),
        ],
    ),
    "graduation-certificate": (
        "毕业证书编号|姓名|性别|证件号码|学校名称|专业|学历层次|入学时间|毕业时间|校长",
        [
            (
                "105581202205001234|林一|女|{woman}|某大学|汉语言文学|大学本科|2018年9月|2022-06-30|某人",
                {
                    "level": "本科",
                    "enrolled_on": "2018-09",
                    "bachelor_or_above": True,
                    "until": None,
                },
            ),
            (
                "105581202205009999|NGUYEN|男|{passport}|某大学|法学|硕士研究生|201909|202206|某人",
                {"graduated_on": "2022-06", "identity_number": "E12345678"},
            ),
            # Schools below colleges have no majors.
            (
                "G2008001|周明|男|{man}|某中学||普通高中|2005-09-01|2008-06-30|",
                {"level": "高中", "college_or_above": False, "major": None},
            ),
            (
                "105581202205001235|林一|女|{woman}|某大学|某|大学本科|2018年13月|2022-06-30|",
                "date.invalid enrolled_on",
            ),
        ],
    ),
    "degree-certificate": (
        "学位证书编号|姓名|性别|证件号码|学位授予单位|学科门类|学位层次|学位授予日期",
        [
            (
                "1055842022000001|林一|女|{woman}|某大学|文学|学士学位|2022-06-30",
                {"level": "学士", "master_or_above": False},
            ),
            (
                "1055832022000002|某人|男|{american}|某大学|工商管理|硕士专业学位|20220630",
                {"level": "硕士", "master_or_above": True},
            ),
            (
                "1055822022000003|陈某|男|{taiwan}|某大学|理学|博士|2022.06.30",
                {"identity_number": "12345678"},
            ),
            ("1055842022000004|林一|女|{woman}|某大学|文学|肄业|2022-06-30", "field.invalid level"),
        ],
    ),
    "retirement-certificate": (
        "退休证号|姓名|性别|出生日期|身份证号|原工作单位|参加工作时间|退休时间|发证机关|发证日期",
        [
            (
                "TX1|周老|男|1950-05-05|{elder}|某厂|1968年12月|2010年5月|某人社局|2010-06-01",
                {"started_work_on": "1968-12", "retired_on": "2010-05", "of_age_60": True},
            ),
            (
                "TX2|林早|女|1990-03-07|{woman}|某厂|2008-07-01|2026-04-30|某人社局|2026-05-01",
                {"retired_on": "2026-04-30", "of_age_60": False},
            ),
            (
                "TX3|某人|男|1950-05-05|{canadian}|某公司||2015-09|某人社局|2015-10-01",
                {"started_work_on": None},
            ),
            (
                "TX4|周老|男|1950-05-05|{elder}|某厂||2010|某人社局|2010-06-01",
                "date.invalid retired_on",
            ),
        ],
    ),
    "fertility-registration": (
        "登记编号|女方姓名|女方身份证件号码|男方姓名|男方身份证件号码|孩次|预产期|登记机构|登记日期",
        [
            ("SY1|林一|{woman}|周明|{man}|一孩|2024-11-01|某卫健局|2024-05-01", {"child_order": 1}),
            (
                "SY2|林一|{woman}|SMITH|{passport}|2|2026-11-01|某卫健局|2026-05-01",
                {"child_order": 2},
            ),
            (
                "SY3|陈某|{hongkong}|||第三孩||某卫健局|2026-05-01",
                {"child_order": 3, "partner_name": None},
            ),
            ("SY4|林一|{woman}|||零孩||某卫健局|2026-05-01", "field.invalid child_order"),
        ],
    ),
    "hk-macau-travel-permit": (
        "证件号码|姓名|姓名拼音|性别|出生日期|公民身份号码|签发机关|签发地|有效期限",
        [
            (
                "C12345678|林一|LIN, YI|女|1990-03-07|{woman}|某局|某省|2020-01-01至2029-12-31",
                {"of_age_18": True, "until": "2029-12-31"},
            ),
            (
                "C87654321|林小|LIN XIAO|女|2015-06-01|{minor}|某局|某省|2024.01.01-2028.12.31",
                {"of_age_16": False},
            ),
            (
                "H12345678|陈大文|CHAN|男|1985-05-15|{hongkong}|某局|某省|2020-01-01至2029-12-31",
                f"{IDENTITY} identity_number",
            ),
        ],
    ),
    "road-transport-permit": (
        "经营许可证号|业户名称|统一社会信用代码|法定代表人|住所|经营范围|核发机关|核发日期|有效期限",
        [
            (
                "440391000001|某货运公司|{company}|林一|某路|道路普通货物运输|某交通局|2022-01-01|2022-01-01至2025-12-31",
                {"permits_goods": True, "permits_passengers": False, "until": "2025-12-31"},
            ),
            (
                "440391000002|某车队|{trader}||某路|道路旅客运输|某交通局|2022-01-01|2022-01-01至长期",
                {"permits_passengers": True, "until": None},
            ),
            (
                "440391000003|某公司|{company}|林一|某路|危险货物运输|某交通局|2022-01-01|2025-12-31至2022-01-01",
                "date.invalid valid_period",
            ),
        ],
    ),
    "construction-permit": (
        "施工许可证编号|建设单位|建设单位统一社会信用代码|工程名称|建设地址|建设规模|合同价格|合同工期|施工单位|发证机关|发证日期",
        [
            (
                "440391202401010101|某公司|{company}|某大厦|深圳市某路|12000.5平方米|5000.00万元|365日历天|某建筑公司|某住建局|2024-01-05",
                {
                    "contract_price": "5000.00万元",
                    "contract_period": "365日历天",
                    "located_in_shenzhen": True,
                },
            ),
            (
                "440391202401010102|某局|{bureau}|某学校|某路|3000㎡|||甲公司、乙公司|某住建局|2024-01-05",
                {"contract_price": None, "until": None},
            ),
            (
                "440391202401010103|某村|{village}|某礼堂|某路|300㎡|||某公司|某住建局|2024-01-05",
                {"credit_code": NUMBERS["village"]},
            ),
            (
                "440391202401010104|某公司|{not_a_code}|某大厦|某路|1㎡|||某公司|某住建局|2024-01-05",
                f"{CREDIT} credit_code",
            ),
        ],
    ),
}


def test_every_type_has_its_export() -> None:
    assert set(EXPORTS) == {item.code for item in CATALOGUE.types}
    assert all(len(rows) >= 3 for _, rows in EXPORTS.values())


@pytest.mark.parametrize("name", EXPORTS)
def test_each_department_s_export_comes_to_what_it_says(name: str) -> None:
    header, rows = EXPORTS[name]
    item = CATALOGUE.type(name)
    names = [item.columns[normalise_column(heading)] for heading in header.split("|")]
    assert not Wanted.of(item).missing(set(names))
    cells = [row.format(**NUMBERS).split("|") for row, _ in rows]
    given = [Row(line, dict(zip(names, row, strict=True))) for line, row in enumerate(cells, 2)]
    found = list(prepare_rows(item, given, on=TODAY))
    assert len(found) == len(rows)
    for prepared, (row, expected) in zip(found, rows, strict=True):
        if isinstance(expected, str):
            assert not isinstance(prepared, Prepared), row
            assert f"{prepared.code} {prepared.field}" == expected, row
            continue
        assert isinstance(prepared, Prepared), (row, prepared)
        validate_fields(item, prepared.fields, on=TODAY)
        until = prepared.valid_until
        came: dict[str, FieldValue | None] = {"until": until.isoformat() if until else None}
        came |= {field: prepared.fields.get(field) for field in item.field_names}
        assert {field: came[field] for field in expected} == expected, row


HALVES = [
    # first day, last day, both in one column, what comes of it
    ("2020-03-07", "20400307", "", "2020-03-07/2040-03-07"),
    ("2020年3月7日", "长期", "", "2020-03-07/.."),
    ("", "2040.03.07", "", "../2040-03-07"),
    ("2020-03-07", "2040-03-07", "2020.03.07-2040.03.07", "2020-03-07/2040-03-07"),
    ("", "2040-03-07", "2020.03.07-2040.03.07", "2020-03-07/2040-03-07"),
    ("", "", "2020.03.07-2040.03.07", "2020-03-07/2040-03-07"),
    ("", "", "", "field.missing"),
    ("2020-03-07", "", "", "date.invalid"),
    ("2020-03-07", "2040-02-30", "", "date.invalid"),
    ("2040-03-07", "2020-03-07", "", "date.invalid"),
    ("2020-03-07", "2039-03-07", "2020.03.07-2040.03.07", "date.invalid"),
    ("#REF!", "2040-03-07", "", "cell.error"),
]


def test_period_in_two_columns_is_one(tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    card = f"林一,女,汉,1990-03-07,某路,{NUMBERS['woman']},某局"
    lines = [
        "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期起始日期,有效期截止日期,有效期限"
    ]
    lines += [f"{card},{start},{end},{whole}" for start, end, whole, _ in HALVES]
    file.write_text("\n".join(lines), "utf-8")
    item = CATALOGUE.type("resident-identity-card")
    with open_export(file, file.name, item) as export:
        found = list(prepare_rows(item, export, on=TODAY))
    assert [
        row.fields["valid_period"] if isinstance(row, Prepared) else row.code for row in found
    ] == [expected for *_, expected in HALVES]
    assert {row.field for row in found if not isinstance(row, Prepared)} == {"valid_period"}


def test_last_day_s_column_does_for_a_required_period() -> None:
    item = CATALOGUE.type("resident-identity-card")
    named = {field.name for field in item.fields if field.required} - {"valid_period"}
    wanted = Wanted.of(item)
    assert wanted.missing(named) == wanted.missing({*named, "valid_period/start"}) == "有效期限"
    assert not wanted.missing({*named, "valid_period/end"})


CELLS = (
    *("", "某", "男", "1", "正常", "2024-05-20", "202405", "2024年5月", "长期", "2020.01.01-长期"),
    *("3200", "1,234.5元", "1.2万元", "39周", "二孩", "C1", "本科", "学士", "一级", "9999-12-31"),
    *NUMBERS.values(),
)


@given(st.data())
def test_whatever_is_prepared_of_any_type_is_a_valid_certificate(data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(CATALOGUE.types))
    _, rows = EXPORTS[item.code]
    names = [item.columns[normalise_column(text)] for text in EXPORTS[item.code][0].split("|")]
    cells = dict(zip(names, rows[0][0].format(**NUMBERS).split("|"), strict=True))
    changed = data.draw(st.lists(st.sampled_from([f.name for f in item.fields]), max_size=4))
    found = prepare(
        item, Row(1, cells | {name: data.draw(st.sampled_from(CELLS)) for name in changed}), TODAY
    )
    if isinstance(found, Prepared):
        validate_fields(item, found.fields, on=TODAY)
